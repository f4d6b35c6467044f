"""Types that refuse what they do not know: the JSON contract as a test wants to read it."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec


def strict(kind: Any) -> Any:  # noqa: ANN401 - a type, or what typing makes of several
    """The same type, whose records forbid unknown fields and whose fields must all be there.

    Only a field that may be left out by its type (UNSET) can be missing.
    """
    if kind is msgspec.UnsetType or (isinstance(kind, type) and get_origin(kind) is None):
        return _record(kind) if _fields(kind) is not None else kind
    parts = tuple(strict(part) if part is not Ellipsis else part for part in get_args(kind))
    origin = get_origin(kind)
    if origin in (list, dict, tuple):
        return origin[parts]
    return functools.reduce(operator.or_, parts)


def paths(kind: Any, here: str = "") -> Iterator[str]:  # noqa: ANN401 - as above
    """The place of every field that a type can have, such as `[].run.id`."""
    for name, inner, _ in _fields(kind) or ():
        yield f"{here}.{name}"
        yield from paths(inner, f"{here}.{name}")
    mark = {list: "[]", tuple: "[]", dict: "{}"}.get(get_origin(kind), "")
    for part in get_args(kind):
        yield from paths(part, here + mark)


def _fields(kind: Any) -> list[tuple[str, Any, str]] | None:  # noqa: ANN401 - as above
    """Name in JSON, type and name in Python; None of what is no record."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return [(field.name, hints[field.name], field.name) for field in dataclasses.fields(kind)]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [(f.encode_name, f.type, f.name) for f in msgspec.structs.fields(kind)]
    return None


@functools.cache
def _record(kind: type) -> type:
    found: list[tuple[str, Any, Any]] = []
    for encoded, inner, name in _fields(kind) or ():
        optional = msgspec.UnsetType in get_args(inner)
        default = msgspec.UNSET if optional else msgspec.NODEFAULT
        found.append((name, strict(inner), msgspec.field(name=encoded, default=default)))
    config = kind.__struct_config__ if issubclass(kind, msgspec.Struct) else None
    return msgspec.defstruct(
        kind.__name__,
        found,
        kw_only=True,
        forbid_unknown_fields=True,
        tag=config.tag if config else None,
        tag_field=config.tag_field if config else None,
    )

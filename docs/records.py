"""Records as tables and as JSON schemas: their fields, types and what is written beside them."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

Link = Callable[[type], str]
"""What a table says for a record that has a section of its own."""
_PLAIN = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    datetime: "time",
    type(None): "null",
}


def doc(kind: type) -> str:
    """The docstring of a record."""
    return inspect.cleandoc(kind.__doc__ or "")


def table(record: type, link: Link, *, beyond: type | None = None) -> list[str]:
    """The fields with type and meaning; without those that are the same in `beyond`."""
    known = {name: kind for name, kind, _ in _fields(beyond)} if beyond else {}
    lines = ["| field | type | |", "| --- | --- | --- |"]
    docs = field_docs(record)
    for name, kind, attribute in _fields(record):
        if known.get(name) != kind:
            lines.append(f"| `{name}` | {kind_words(kind, link)} | {docs.get(attribute, '')} |")
    return lines


def kind_words(kind: Any, link: Link) -> str:  # noqa: ANN401 - a type, or what typing makes of several
    """A type in JSON's words."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    parts = [part for part in get_args(kind) if part is not msgspec.UnsetType]
    if get_origin(kind) in (tuple, list):
        return f"list of {kind_words(parts[0], link)}"
    if get_origin(kind) is dict:
        return f"object: text to {kind_words(parts[1], link)}"
    if parts:
        return " or ".join(kind_words(part, link) for part in parts)
    return link(kind)


def words_of(kind: type[Enum]) -> str:
    """The values of an enumeration."""
    return " ".join(f"`{member.value}`" for member in kind)


def schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type, or what typing makes of several
    """The JSON schema of a type, with the text beside each field."""
    found = msgspec.json.schema(kind)
    records = {record.__name__: record for record in _reachable(kind)}
    for name, definition in found.get("$defs", {}).items():
        docs = field_docs(records[name])
        for field, _, attribute in _fields(records[name]):
            if attribute in docs:
                definition["properties"][field]["description"] = docs[attribute]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def field_docs(record: type) -> dict[str, str]:
    """The text after each field that has one, also of the records it comes from."""
    found: dict[str, str] = {}
    for kind in reversed(record.__mro__):
        if kind.__module__.startswith("sdqctl."):
            found |= _own_docs(kind)
    return found


@functools.cache
def _tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _own_docs(record: type) -> dict[str, str]:
    found = {}
    for node in _tree_of(Path(inspect.getfile(record))).body:
        if not isinstance(node, ast.ClassDef) or node.name != record.__name__:
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and is_text:
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _fields(record: type) -> list[tuple[str, Any, str]]:
    """Name in JSON, type and name in Python."""
    if dataclasses.is_dataclass(record):
        hints = get_type_hints(record)
        return [(f.name, hints[f.name], f.name) for f in dataclasses.fields(record)]
    if issubclass(record, msgspec.Struct):
        return [(f.encode_name, f.type, f.name) for f in msgspec.structs.fields(record)]
    return []


def _reachable(
    kind: Any,  # noqa: ANN401 - a type, or what typing makes of several
    seen: set[type] | None = None,
) -> Iterator[type]:
    """The records and enumerations that a type is made of, and itself."""
    seen = set() if seen is None else seen
    for part in get_args(kind):
        yield from _reachable(part, seen)
    if isinstance(kind, type) and get_origin(kind) is None and kind not in seen:
        seen.add(kind)
        yield kind
        for _, inner, _ in _fields(kind):
            yield from _reachable(inner, seen)

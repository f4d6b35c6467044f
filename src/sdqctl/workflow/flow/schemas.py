"""JSON Schemas: what a value has to be, checked by `jsonschema`. Nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012

from sdqctl.workflow.flow.text import Value

_MOST_PROBLEMS = 10
_BASE = "schema:/"
"""What names in a schema are looked up from: no address that anything could be fetched from."""
_LARGEST = 1_000_000


class Schema:
    """A schema that is one. Draft 2020-12, unless its `$schema` says another."""

    def __init__(self, document: Value, validator: Validator) -> None:
        self.document = document
        self._validator = validator

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> Schema:
        """A schema from its JSON. A `$ref` is a place in it or, with a `folder`, a file there.

        Raises ValueError with the place and what is wrong: no JSON, no schema, an unknown draft, a
        `$ref` that leads nowhere or away.
        """
        document = _read(text)
        if not isinstance(document, dict | bool):
            raise ValueError("a schema is an object")
        kind = _draft(document)
        try:
            kind.check_schema(document)  # type: ignore[arg-type] # true and false are schemas, too
        except SchemaError as error:
            raise ValueError(f"the schema is none: {_problem(error)}") from None
        registry: Registry[Any] = Registry(retrieve=_files_of(folder))  # type: ignore[call-arg]
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        registry = registry.with_resource(_BASE, resource)
        schema = cls(document, kind(document, registry=registry))
        _follow(document, registry)
        return schema

    @classmethod
    def load(cls, path: Path) -> Schema:
        """A schema from a file. Raises ValueError, OSError."""
        return cls.parse(path.read_text("utf-8"), path.parent)

    def problems(self, value: Value) -> list[str]:
        """What does not fit, each with its place in the value; nothing: it fits."""
        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: str(error.path))
        except RecursionError:
            return ["the schema refers to itself without end"]
        found = [_problem(error) for error in errors]
        more = len(found) - _MOST_PROBLEMS
        return [*found[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]

    def text(self) -> str:
        """The schema as an agent is shown it."""
        return json.dumps(self.document, ensure_ascii=False, indent=2)


def _draft(document: Any) -> type[Validator]:  # noqa: ANN401
    """Raises ValueError for a `$schema` that is none of the drafts."""
    if isinstance(document, bool) or "$schema" not in document:
        return Draft202012Validator
    known = validator_for(document, default=cast("type[Validator]", object))
    if known is object:
        raise ValueError(f"the draft {document['$schema']!r} is not known")
    return known


def _read(text: str) -> Value:
    try:
        value: Value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"the schema is not JSON: {error.msg} in {place}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the schema is not JSON: {error}") from None
    return value


def _files_of(folder: Path | None) -> Callable[[str], Resource[Any]]:
    def retrieve(uri: str) -> Resource[Any]:
        parts = urlsplit(uri)
        if parts.scheme not in ("", "schema") or parts.netloc or folder is None:
            raise NoSuchResource(uri)
        root = folder.resolve()
        path = (root / unquote(parts.path).lstrip("/")).resolve()
        if not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > _LARGEST:
            raise NoSuchResource(uri)
        contents = _read(path.read_text("utf-8"))
        return Resource.from_contents(contents, default_specification=DRAFT202012)

    return retrieve


def _follow(document: Any, registry: Registry[Any]) -> None:  # noqa: ANN401
    """Look every `$ref` up, also in the files that it leads to. Raises ValueError."""
    seen: set[tuple[str, str]] = set()
    waiting = [(document, registry.resolver(_BASE), _BASE)]
    while waiting:
        here, resolver, base = waiting.pop()
        for reference in _references(here):
            if (base, reference) in seen:
                continue
            seen.add((base, reference))
            try:
                found = resolver.lookup(reference)
            except (Unresolvable, ValueError, OSError):
                raise ValueError(f"the `$ref` {reference!r} leads nowhere; {_LEADS}") from None
            waiting.append((found.contents, found.resolver, reference.partition("#")[0] or base))


_LEADS = "it may be a place in the schema (#/...) or a file beside it"


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _problem(error: ValidationError | SchemaError) -> str:
    """One sentence: the place in the value, and the validator's words."""
    place = ""
    for part in error.absolute_path:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    words = error.message if len(error.message) <= 300 else error.message[:299] + "…"
    return f"{place or 'the value'}: {words}"

"""A value that fits a JSON Schema: what scripted agents answer when a structure is asked for."""

from __future__ import annotations

from typing import Any

_DEEPEST = 12


def sample(schema: Any, root: Any = None, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """The smallest plain value of a schema, the same each time; null for one that is too clever."""
    whole = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        return sample(_found(reference, whole), whole, depth + 1)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if options := schema.get("enum"):
        return options[0]
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return sample(schema[several][0], whole, depth + 1)
    return _of_kind(schema, whole, depth)


def _of_kind(schema: dict[str, Any], whole: Any, depth: int) -> Any:  # noqa: ANN401
    kind = schema.get("type", "object" if "properties" in schema else None)
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties", {})
            named = {name: properties.get(name, {}) for name in schema.get("required", properties)}
            return {name: sample(below, whole, depth + 1) for name, below in named.items()}
        case "array":
            item = sample(schema.get("items", {}), whole, depth + 1)
            return [item] * max(int(schema.get("minItems", 1)), 0)
        case "string":
            return "text".ljust(int(schema.get("minLength", 0)), "x")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return None


def _found(reference: str, whole: Any) -> Any:  # noqa: ANN401
    """The place of a schema that `#/...` names; None: nowhere."""
    place = whole
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            place = place.get(part) if isinstance(place, dict) else None
    return place if reference.startswith("#") else None

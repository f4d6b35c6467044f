"""What an expression may do with values: filters and methods, with bounds on what they make.

The sandbox keeps an expression away from Python's insides; it lets through what eats memory or time
(`"x" * 10 ** 9`, `center`, `%1000000d`, lists of lists of a long text).
Only what stands here exists.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from jinja2 import Undefined

from sdqctl.text.suggest import did_you_mean
from sdqctl.workflow.flow.text import LARGEST, kind_of, text_of

_BITS = 4_096
_LARGEST_RANGE = 10_000
_left: ContextVar[int] = ContextVar("left", default=LARGEST)
"""How many characters and items the expression that is evaluated may still make."""


def begin() -> None:
    """Let an evaluation begin with the whole of what it may make."""
    _left.set(LARGEST)


def charge(size: int) -> None:
    """Count characters or items before they are made. Raises ValueError beyond the limit."""
    left = _left.get() - size
    if left < 0:
        raise ValueError(f"it makes more than {LARGEST:,} characters or items")
    _left.set(left)


def charged(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """A value that was made, counted."""
    if isinstance(value, str | list | dict):
        charge(len(value))
    return value


# -- operators ------------------------------------------------------------------------------------


def operate(sign: str, left: Any, right: Any) -> Any:  # noqa: ANN401
    """`left sign right`, of numbers, of two texts or lists (`+`), or a text or list repeated (`*`).

    Raises ValueError for other operands and for what becomes too large.
    """
    if _is_number(left) and _is_number(right):
        return _calculate(sign, left, right)
    if sign == "+" and type(left) is type(right) and isinstance(left, str | list):
        charge(len(left) + len(right))
        return left + right
    if sign == "*" and isinstance(left, str | list) and isinstance(right, int):
        charge(len(left) * max(right, 0))
        return left * right
    if isinstance(right, Undefined) or isinstance(left, Undefined):
        return str(left) + str(right)  # raises, with its own words
    if sign == "%" and isinstance(left, str):
        raise ValueError("text is not formatted with %; join it with ~")
    if sign == "+" and isinstance(left, str) != isinstance(right, str):
        raise ValueError(f"{kind_of(left)} + {kind_of(right)} is not possible; join text with ~")
    raise ValueError(f"{kind_of(left)} {sign} {kind_of(right)} is not possible")


def _calculate(sign: str, left: float, right: float) -> Any:  # noqa: ANN401
    if isinstance(left, int) and isinstance(right, int):
        lengths = left.bit_length(), right.bit_length()
        bits = {"*": sum(lengths), "**": lengths[0] * max(right, 1)}.get(sign, max(lengths))
        if bits > _BITS:
            raise ValueError("a number becomes too large")
    return _OPERATORS[sign](left, right)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- filters --------------------------------------------------------------------------------------


def _length(value: Any) -> int:  # noqa: ANN401
    if not isinstance(value, str | list | dict):
        raise ValueError(f"{kind_of(value)} has no length")
    return len(value)


def _join(value: Any, separator: str = "", attribute: str | None = None) -> str:  # noqa: ANN401
    items = [_field(item, attribute) for item in _listed(value)]
    texts = []
    for item in items:
        text = text_of(item)
        charge(len(text) + len(separator))
        texts.append(text)
    return separator.join(texts)


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:  # noqa: ANN401
    text, old, new = _text(value), _text(old), _text(new)
    times = text.count(old) if count < 0 else min(count, text.count(old))
    charge(len(text) + times * len(new))
    return text.replace(old, new, count)


def _int(value: Any, default: int | None = None) -> int:  # noqa: ANN401
    try:
        return int(value.strip() if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return int(_instead(default, value, "a whole number"))


def _float(value: Any, default: float | None = None) -> float:  # noqa: ANN401
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float(_instead(default, value, "a number"))


def _instead(default: Any, value: object, wanted: str) -> Any:  # noqa: ANN401
    if default is None:
        raise ValueError(f"{_short(value)} is not {wanted}; a default may stand in parentheses")
    return default


def _round(value: float, precision: int = 0) -> float | int:
    if not _is_number(value):
        raise ValueError(f"{kind_of(value)} cannot be rounded")
    if not 0 <= precision <= 15:
        raise ValueError("the places to round to are 0 to 15")
    return round(value, precision) if precision else round(value)


def _sum(value: Any, attribute: str | None = None) -> Any:  # noqa: ANN401
    total: Any = 0
    for item in _listed(value):
        total = operate("+", total, _field(item, attribute))
    return total


def _unique(value: Any, attribute: str | None = None) -> list[Any]:  # noqa: ANN401
    items = _listed(value)
    charge(len(items))
    found = {_key(_field(item, attribute)): item for item in reversed(items)}
    return list(reversed(found.values()))


def _sort(value: Any, reverse: bool = False, attribute: str | None = None) -> list[Any]:  # noqa: ANN401
    items = _listed(value)
    charge(len(items))
    return sorted(items, key=lambda item: _field(item, attribute), reverse=reverse)


def _extreme(choose: Callable[..., Any], name: str) -> Callable[..., Any]:
    def extreme(value: Any, attribute: str | None = None) -> Any:  # noqa: ANN401
        items = _listed(value)
        if not items:
            raise ValueError(f"an empty list has no {name}")
        return choose(items, key=lambda item: _field(item, attribute))

    return extreme


def _end(index: int, name: str) -> Callable[[Any], Any]:
    def end(value: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, str | list):
            raise ValueError(f"{kind_of(value)} has no {name} item")
        if not value:
            raise ValueError(f"an empty {'text' if value == '' else 'list'} has no {name} item")
        return value[index]

    return end


def _batch(value: Any, count: int) -> list[list[Any]]:  # noqa: ANN401
    items = _listed(value)
    if not isinstance(count, int) or count < 1:
        raise ValueError("a batch has at least 1 item")
    charge(len(items))
    return [items[start : start + count] for start in range(0, len(items), count)]


def _list(value: Any) -> list[Any]:  # noqa: ANN401
    found = list(value) if isinstance(value, str | dict) else _listed(value)
    charge(len(found))
    return found


def _tojson(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    if indent is not None and not 0 <= indent <= 8:
        raise ValueError("the indent is 0 to 8")
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    charge(len(text))
    return text


def _truncate(value: Any, length: int = 255, end: str = "…") -> str:  # noqa: ANN401
    text = _text(value)
    return text if len(text) <= length else text[: max(length - len(end), 0)] + end


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:  # noqa: ANN401
    missing = isinstance(value, Undefined) or (boolean and not value)
    return default if missing else value


def _reverse(value: Any) -> Any:  # noqa: ANN401
    return charged(value[::-1] if isinstance(value, str) else _listed(value)[::-1])


def _pairs(value: Any) -> list[list[Any]]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise ValueError(f"{kind_of(value)} has no pairs of keys and values")
    charge(2 * len(value))
    return [[key, item] for key, item in value.items()]


def _of_text(change: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: charged(change(_text(value)))


def _abs(value: Any) -> Any:  # noqa: ANN401
    return abs(value) if _is_number(value) else _instead(None, value, "a number")


def concatenated(values: Iterable[Any]) -> str:
    """`a ~ b ~ c`."""
    return _join(list(values))


def sliced(value: Any, start: int | None, stop: int | None, step: int | None) -> Any:  # noqa: ANN401
    """`value[start:stop:step]`. Raises ValueError for what has no order."""
    if not isinstance(value, str | list):
        raise ValueError(f"{kind_of(value)} cannot be sliced")
    return charged(value[start:stop:step])


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "batch": _batch,
    "capitalize": _of_text(str.capitalize),
    "count": _length,
    "d": _default,
    "default": _default,
    "first": _end(0, "first"),
    "float": _float,
    "int": _int,
    "items": _pairs,
    "join": _join,
    "last": _end(-1, "last"),
    "length": _length,
    "lines": _of_text(str.splitlines),
    "list": _list,
    "lower": _of_text(str.lower),
    "max": _extreme(max, "largest item"),
    "min": _extreme(min, "smallest item"),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "sort": _sort,
    "string": _of_text(str),
    "sum": _sum,
    "title": _of_text(str.title),
    "tojson": _tojson,
    "trim": _of_text(str.strip),
    "truncate": _truncate,
    "unique": _unique,
    "upper": _of_text(str.upper),
    "wordcount": _of_text(lambda text: len(text.split())),
}
"""Those of Jinja2 by name, as far as they are bounded and always say the same; `map`, `select` and
their like are added by the sandbox."""


# -- attributes, methods, functions ---------------------------------------------------------------


def numbers(*bounds: int) -> list[int]:
    """`range(...)`. Raises ValueError beyond 10,000."""
    found = range(*bounds)
    if len(found) > _LARGEST_RANGE:
        raise ValueError(f"a range has at most {_LARGEST_RANGE:,} numbers")
    return list(found)


_TEXT_METHODS = (
    *("capitalize", "count", "endswith", "find", "isdigit", "lower", "lstrip", "removeprefix"),
    *("removesuffix", "rfind", "rstrip", "split", "splitlines", "startswith", "strip", "title"),
    *("upper", "rsplit"),
)
METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    str: {
        **{name: getattr(str, name) for name in _TEXT_METHODS},
        "join": lambda text, items: _join(items, text),
        "replace": _replace,
    },
    list: {"count": list.count, "index": list.index},
    dict: {
        "get": dict.get,
        "items": _pairs,
        "keys": lambda value: list(value),
        "values": lambda value: list(value.values()),
    },
}
"""What may be called on a value, by its type."""


class Method:
    """A method of a value that is about to be called."""

    def __init__(self, value: Any, name: str) -> None:  # noqa: ANN401
        self._value = value
        self._call = METHODS[type(value)][name]
        self._name = name

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401
        found = self._call(self._value, *arguments)
        return charged(list(found) if isinstance(found, tuple) else found)

    def __repr__(self) -> str:
        return f"the method {self._name}"


def missing(value: Any, name: object) -> str:  # noqa: ANN401
    """What is said of a key or an index that a value has not."""
    if isinstance(value, dict):
        near = did_you_mean(name, map(str, value)) if isinstance(name, str) else ""
        has = ", ".join(map(str, list(value)[:8])) or "nothing"
        return f"there is no {name!r} in it{near or f'; it has {has}'}"
    if isinstance(value, list | str) and isinstance(name, int):
        return f"there is no item {name}: it has {len(value)}"
    return f"{kind_of(value)} has no {name!r}"


def _field(item: Any, attribute: str | None) -> Any:  # noqa: ANN401
    """`item.attribute`, also `a.b`, or the item itself."""
    for name in str(attribute).split(".") if attribute is not None else ():
        if not isinstance(item, Mapping) or name not in item:
            raise ValueError(missing(item, name))
        item = item[name]
    return item


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ValueError(f"a list is wanted, and this is {kind_of(value)}")
    return value


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list | dict):
        return text_of(value) if isinstance(value, dict) else _no_text(value)
    return text_of(value)


def _no_text(value: object) -> str:
    raise ValueError(f"a text is wanted, and this is {kind_of(value)}")


def _key(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"

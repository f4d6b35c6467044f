"""A value as text: what stands in a prompt or a command for it."""

from __future__ import annotations

import json

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
"""A JSON value."""
LARGEST = 10_000_000
"""The most characters and items that a value may have."""
DEEPEST = 100
"""How deep lists and objects may stand in one another."""
_RUN_RESULT = frozenset({"text", "stdout", "exit_status", "ok", "seconds"})


def run_result(text: str, stdout: str, exit_status: int, seconds: float) -> dict[str, Value]:
    """The value of a RUN: `text` is what the model would see of it; as text it is that."""
    return {
        "text": text,
        "stdout": stdout,
        "exit_status": exit_status,
        "ok": exit_status == 0,
        "seconds": round(seconds, 3),
    }


def text_of(value: Value, *, indent: int | None = None) -> str:
    """A value as text: lists and objects are JSON, with `indent` over several lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.keys() == _RUN_RESULT and isinstance(value["text"], str):
        return value["text"]
    return json.dumps(value, ensure_ascii=False, indent=indent)


def kind_of(value: object) -> str:
    """What a value is, for messages: `a list`, `a number`, ..."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "no value"


def too_large(value: Value) -> str | None:
    """Why a value cannot be kept; None: it can."""
    left = LARGEST
    level: list[Value] = [value]
    for _ in range(DEEPEST):
        below: list[Value] = []
        for each in level:
            if isinstance(each, dict):
                left -= sum(map(len, each))
                below += each.values()
            elif isinstance(each, list):
                below += each
            left -= len(each) if isinstance(each, str | list | dict) else 1
            if left < 0:
                return f"it has more than {LARGEST:,} characters or items"
        if not below:
            return None
        level = below
    return f"lists and objects stand more than {DEEPEST} deep in one another"


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "an object"),
)

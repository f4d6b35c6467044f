"""Names of values: inputs, captures, and what a loop goes over."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Lower case, so that they never meet the built-in variables."""
FUNCTIONS = frozenset({"range"})
"""What an expression may call by its name."""
_TAKEN = frozenset(
    {
        *("and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null"),
        *("self", "super", "caller", "loop", "varargs", "kwargs", "raw"),
        *FUNCTIONS,
    }
)
_LONGEST = 64


def parse_name(text: str) -> str:
    """A name of a value. Raises ValueError that says what is wrong with it."""
    if not NAME.fullmatch(text):
        lower = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
        hint = f"; write {lower}" if NAME.fullmatch(lower) else ""
        raise ValueError(f"{text!r} is not a name: lower case, digits and _{hint}")
    if text in _TAKEN:
        raise ValueError(f"{text!r} means something in expressions; take another name")
    if len(text) > _LONGEST:
        raise ValueError(f"a name has at most {_LONGEST} characters")
    return text

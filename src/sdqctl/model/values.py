"""The types of values: of what a run is given, and of what is taken from an answer."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """The kinds of values that INPUT, CAPTURE and ASK know."""

    TEXT = "text"
    LINES = "lines"
    JSON = "json"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    FILE = "file"
    CHOICE = "choice"


class ValueType(msgspec.Struct, frozen=True):
    """A type: its kind, and the words of a choice."""

    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As it is written in a workflow."""
        words = f"({'|'.join(self.choices)})" if self.choices else ""
        return f"{self.kind}{words}"

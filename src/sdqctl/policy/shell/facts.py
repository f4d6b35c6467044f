"""What expansions do besides giving a text: they evaluate values and set variables."""

from __future__ import annotations

import msgspec


class UnclearCommandError(Exception):
    """The command line could mean something that was not seen."""


class Use(msgspec.Struct, frozen=True, gc=False):
    """A variable's value is evaluated as arithmetic: bash runs the substitutions in it."""

    name: str


class Set(msgspec.Struct, frozen=True, gc=False):
    """A variable is set. `value` None: to what is not known."""

    name: str
    value: str | None = None
    number: bool = False
    """Whether the value is a number, whatever it is."""
    certain: bool = False
    """Whether it is set whenever the command runs."""
    fallback: bool = False
    """Whether it is set only if it is empty or not set."""
    array: bool = False
    """Whether it may become an array."""
    elements: bool = False
    """Whether the value is evaluated as elements if it is an array: `declare x='($(command))'`."""


def uncertain(facts: list[Fact]) -> list[Fact]:
    """The same facts of an expression that may not be reached."""
    return [
        msgspec.structs.replace(fact, certain=False) if isinstance(fact, Set) else fact
        for fact in facts
    ]


class Doubt(msgspec.Struct, frozen=True, gc=False):
    """Something is evaluated that is known only when the shell runs."""

    why: str


class Risk(msgspec.Struct, frozen=True, gc=False):
    """An expansion may fail: bash then drops the rest of the line, and goes on with the next."""


Fact = Use | Set | Doubt | Risk

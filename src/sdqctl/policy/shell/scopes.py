"""What a reader is in for a while: a level of nesting, or a command of its own."""

from __future__ import annotations

from typing import Protocol

from sdqctl.policy.shell.facts import Fact
from sdqctl.policy.shell.tree import Line


class _Nesting(Protocol):
    depth: int


class _Collecting(Protocol):
    facts: list[Fact]
    inner: list[Line]


class Level:
    """A level of nesting while it is entered."""

    __slots__ = ("_reader",)

    def __init__(self, reader: _Nesting) -> None:
        self._reader = reader

    def __enter__(self) -> None:
        self._reader.depth += 1

    def __exit__(self, *error: object) -> None:
        self._reader.depth -= 1


class Draft:
    """While it is entered, facts and substitutions are collected by themselves."""

    __slots__ = ("_facts", "_inner", "_reader")

    def __init__(self, reader: _Collecting) -> None:
        self._reader = reader

    def __enter__(self) -> None:
        reader = self._reader
        self._facts, self._inner = reader.facts, reader.inner
        reader.facts, reader.inner = [], []

    def __exit__(self, *error: object) -> None:
        self._reader.facts, self._reader.inner = self._facts, self._inner

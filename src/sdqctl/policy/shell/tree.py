"""A command line taken apart: commands, how they follow each other, the files they open."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

from sdqctl.policy.shell.facts import Fact
from sdqctl.policy.shell.word import Word


class Redirection(msgspec.Struct, frozen=True, gc=False):
    """A file that is opened: for reading, else for writing."""

    target: Word
    reads: bool


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """A variable that is set. `value` None: not one word, but elements or a loop's words."""

    name: str
    value: Word | None
    elements: tuple[Word, ...] = ()
    loop: bool = False
    element: bool = False
    """Whether only one element of an array is set."""
    appends: bool = False
    """Whether its one element is put behind what the variable holds."""

    @property
    def array(self) -> bool:
        """Whether the variable becomes an array."""
        return self.element or (self.value is None and not (self.loop or self.appends))


class SimpleCommand(msgspec.Struct, gc=False):
    """One program with its words, the variables set for it, and its redirections."""

    words: tuple[Word, ...]
    assignments: Sequence[Assignment] = ()
    redirections: Sequence[Redirection] = ()
    inner: Sequence[Line] = ()
    """The substitutions in it; they run before it."""
    facts: Sequence[Fact] = ()
    texts: Sequence[Word] = ()
    """The here-strings."""
    may_fail: bool = False
    """Whether a redirection may fail, so that the command does not run."""
    keyword: str = ""
    """`[[` or `((`, where it is no program."""
    bare: bool = False
    """Whether it is known to be nothing but a program with its words."""

    @property
    def has_more(self) -> bool:
        """Whether there is more than words."""
        return bool(self.assignments or self.redirections or self.texts)


class Shape(Enum):
    """What a compound command does with the commands in it."""

    GROUP = "group"
    SUBSHELL = "subshell"
    BRANCH = "branch"
    LOOP = "loop"
    FUNCTION = "function"


class Step(msgspec.Struct, gc=False):
    """A pipeline, and the operator after it: `&&`, `||`, `;` or `&`."""

    commands: list[Command]
    negated: bool
    then: str


class Line(msgspec.Struct, gc=False):
    """Commands in their order."""

    steps: list[Step]
    defines: bool = False
    """Of a whole text: whether functions are defined anywhere in it."""


class Compound(msgspec.Struct, gc=False):
    """A compound command. In a branch and in a loop the first line always runs."""

    shape: Shape
    lines: list[Line]
    head: SimpleCommand | None = None
    """What is expanded before: the words of a `for` or a `case`."""
    name: str = ""
    """The function's name."""
    redirections: Sequence[Redirection] = ()
    may_fail: bool = False
    """Whether a redirection may fail, so that none of it runs."""
    inner: Sequence[Line] = ()
    """The substitutions in its redirections."""
    facts: Sequence[Fact] = ()


Command = SimpleCommand | Compound

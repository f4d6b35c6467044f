"""What a line gives its variables, wherever in it: a loop or a function uses what comes later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sdqctl.policy.shell.builtins import EVALUATING, facts_of
from sdqctl.policy.shell.facts import Fact, Set, UnclearCommandError
from sdqctl.policy.shell.flow import commands_of
from sdqctl.policy.shell.grammar import parse_command_line
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.tree import Assignment, Compound, Line
from sdqctl.policy.shell.word import Word
from sdqctl.policy.shell.wrappers import Inner, runs_others, unwrap

DEEPEST = 20
"""How deep programs and texts may run others."""


class LookAhead:
    """Looks through one shell's lines, and the texts that it runs itself, as `eval` does.

    `posix`: that shell may be dash or bash.
    """

    def __init__(self, meter: Meter, *, posix: bool) -> None:
        self._meter = meter
        self._posix = posix
        self.anything = False
        """Whether the shell runs a text that is not known, which may give any variable anything."""

    def given(self, line: Line, depth: int = 0) -> Iterator[Assignment]:
        """The assignments of a line. Raises UnclearCommandError."""
        for command in commands_of(line):
            self._meter.spend(1)
            yield from _set_by(command.facts)
            if not isinstance(command, Compound):
                yield from command.assignments
                if command.words:
                    yield from self._given_by(command.words, depth)

    def _given_by(self, words: tuple[Word, ...], depth: int) -> Iterator[Assignment]:
        name = words[0].text
        if name is None:
            self.anything = self.anything or may_be_builtin(words[0])
            return
        if name in EVALUATING:
            yield from _set_by(facts_of(words, ""))
        if runs_others(name):
            yield from self._given_in(unwrap(words, posix=self._posix), depth)

    def _given_in(self, inner: Inner, depth: int) -> Iterator[Assignment]:
        self.anything = self.anything or inner.lost
        text = inner.text if inner.text is not None and inner.text.here else None
        if depth >= DEEPEST and (inner.runs or text):
            raise UnclearCommandError("it is nested too deep")
        for run in inner.runs:
            yield from run.assignments
            if run.words:
                yield from self._given_by(run.words, depth + 1)
        if text is not None:
            line = parse_command_line(text.line, posix=text.posix, meter=self._meter)
            yield from self.given(line, depth + 1)


def may_be_builtin(word: Word) -> bool:
    """Whether a program that only the shell knows may be one of the shell's own, as `cd`."""
    return word.text is None and not any("/" in piece.text for piece in word.pieces)


def given_by(fact: Set) -> Assignment:
    """What a builtin or an expansion gives a variable."""
    text = fact.value
    return Assignment(fact.name, None if text is None else Word(text, tilde=text[:1] == "~"))


def _set_by(facts: Iterable[Fact]) -> Iterator[Assignment]:
    return (given_by(fact) for fact in facts if isinstance(fact, Set))

"""Reading lists of commands: pipelines, `&&`, `||`, `;`, `&` and newlines."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Self

from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.simple import JOINED, SimpleReader
from sdqctl.policy.shell.tree import Command, Line, Step
from sdqctl.policy.shell.words import Meter

RESERVED_WORD = re.compile(
    r"(?:if|then|elif|else|fi|while|until|do|done|for|select|case|esac|in|function|time|coproc"
    r"|\[\[|\]\]|\{|\}|!)(?=[ \t\n;&|<>()]|\Z)"
)
_BEFORE_PIPELINES = frozenset("!t")
_SEPARATOR = re.compile(r"&&|\|\||;|&")
_PIPE = re.compile(r"\|&|\|(?!\|)")
_LONGEST_ROW = 500
"""Characters of a row that is kept; to look at longer ones again and again is no gain."""
_TIME_OPTION = re.compile(r"-p(?=[ \t])")


class ListReader(SimpleReader):
    """Reads lists of commands; the commands themselves are left to `command`."""

    def __init__(self, text: str, meter: Meter, *, depth: int = 0, posix: bool = False) -> None:
        super().__init__(text, meter, depth=depth, posix=posix)
        self._rows: dict[tuple[int, str], list[Step]] = {}
        """What whole rows of the text mean, by depth and text."""

    @abstractmethod
    def command(self) -> Command:
        """The command that begins here."""

    def whole(self) -> Line:
        """The whole text."""
        found = self.line(lambda: not self.peek())
        if self.pending:
            raise UnclearCommandError("a here-document is not closed")
        return found

    def substitution(self) -> None:
        """The commands of a substitution up to its `)`."""
        if self.pending:
            raise UnclearCommandError("a substitution follows a here-document")
        facts, inner = self.facts, self.inner
        self.within += 1
        found = self.line(lambda: self.text[self.at : self.at + 1] == ")")
        self.within -= 1
        if self.pending or not self.follows(")"):
            raise UnclearCommandError("a substitution is not closed")
        self.at += 1
        self.facts, self.inner = facts, inner
        self.inner.append(found)

    def backticks(self, text: str) -> None:
        """The commands of a text between backticks."""
        child = type(self)(text, self.meter, depth=self.depth, posix=self.posix)
        self.inner.append(child.whole())

    def child(self, text: str) -> Self:
        """A reader of a text that belongs to this command."""
        child = type(self)(text, self.meter, depth=self.depth, posix=self.posix)
        child.facts, child.inner = self.facts, self.inner
        return child

    # -- lists ---------------------------------------------------------------------------------

    def line(self, ends: Callable[[], bool]) -> Line:
        """Commands up to where `ends` says so; what ends them is left."""
        steps: list[Step] = []
        self.newlines()
        while not ends():
            found = self._row(ends)
            steps += found
            if not found[-1].then:
                break
            self.newlines()
        return Line(steps)

    def _row(self, ends: Callable[[], bool]) -> list[Step]:
        """Commands up to a newline between them, or to where `ends` says so.

        What a whole row of the text means depends on nothing but its text and how deep it is
        nested, so that a row which comes again is not read again.
        """
        end = self.text.find("\n", self.at, self.at + _LONGEST_ROW)
        row = self.depth, self.text[self.at : max(self.at, end)]
        if not self.pending and (known := self._rows.get(row)):
            self.at = end
            self.meter.spend(1 + len(known))
            return known
        found = self._steps(ends)
        if self.at == end and not self.pending and found[-1].then:
            self._rows[row] = found
        return found

    def _steps(self, ends: Callable[[], bool]) -> list[Step]:
        steps: list[Step] = []
        while True:
            step = self._step()
            steps.append(step)
            if self.at >= len(self.text) or ends():
                return steps
            step.then = self._separator()
            if step.then in ("&&", "||"):
                self.newlines()
                if self.at >= len(self.text) or ends():
                    raise UnclearCommandError("a command is missing at its end")
                continue
            self.skip_blanks()
            if self.peek() == "\n" or ends():
                return steps

    def _separator(self) -> str:
        """The operator between two commands; a newline, which is left, counts as `;`."""
        char = self.peek()
        if char == "\n":
            return ";"
        found = _SEPARATOR.match(self.text, self.at)
        if found is None:
            raise UnclearCommandError(f"it uses {char!r} where a command ends")
        self.operator(found.group())
        return found.group()

    def operator(self, operator: str) -> None:
        """Consume an operator, unless the next line would make it another one."""
        self.at += len(operator)
        if self.follows("\\\n") and JOINED.match(self.text, self.at):
            raise UnclearCommandError("an operator is continued on the next line")

    def newlines(self) -> None:
        """Skip blanks, comments and newlines, and read the here-documents after a newline."""
        self.skip_blanks()
        while self.text[self.at : self.at + 1] == "\n":
            self.at += 1
            self.meter.spend(1)
            if self.pending:
                self.here_documents()
            self.skip_blanks()

    def _step(self) -> Step:
        negated = False
        while self.text[self.at : self.at + 1] in _BEFORE_PIPELINES and (
            word := self.reserved("!", "time")
        ):
            negated = negated != (word == "!")
            if word == "time" and (option := _TIME_OPTION.match(self.text, self.at)):
                self.at = option.end()
                self.skip_blanks()
        commands = [self.command()]
        while self.peek() == "|" and (found := _PIPE.match(self.text, self.at)):
            if found.group() == "|&":
                self.bash_only("|&")
            self.operator(found.group())
            self.newlines()
            commands.append(self.command())
        return Step(commands, negated, "")

    def reserved(self, *wanted: str) -> str:
        """One of these reserved words, consumed with the blanks after it; empty: none."""
        if not self.text.startswith(wanted, self.at):
            return ""
        found = RESERVED_WORD.match(self.text, self.at)
        if found is None or found.group() not in wanted:
            return ""
        if found.group() == "time" and self.posix:
            return ""
        self.at = found.end()
        self.skip_blanks()
        return found.group()

    def at_word(self, *words: str) -> bool:
        """Whether one of these reserved words comes next."""
        if not self.text.startswith(words, self.at):
            return False
        found = RESERVED_WORD.match(self.text, self.at)
        return found is not None and found.group() in words

    def expect(self, word: str) -> None:
        """Consume a reserved word. Raises UnclearCommandError when it is not there."""
        if self.reserved(word) != word:
            raise UnclearCommandError(f"it has no {word} where one belongs")

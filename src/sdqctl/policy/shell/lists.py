"""Reading lists of commands: pipelines, `&&`, `||`, `;`, `&` and newlines."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Self

from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.simple import JOINED, SimpleReader
from sdqctl.policy.shell.tree import Command, Line, Step

RESERVED_WORD = re.compile(
    r"(?:if|then|elif|else|fi|while|until|do|done|for|select|case|esac|in|function|time|coproc"
    r"|\[\[|\]\]|\{|\}|!)(?=[ \t\n;&|<>()]|\Z)"
)
_BEFORE_PIPELINES = frozenset("!t")
_SEPARATOR = re.compile(r"&&|\|\||;|&")
_PIPE = re.compile(r"\|&|\|(?!\|)")
_TIME_OPTION = re.compile(r"-p(?=[ \t])")


class ListReader(SimpleReader):
    """Reads lists of commands; the commands themselves are left to `command`."""

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
            steps.append(self._step())
            if not self.peek() or ends():
                break
            steps[-1].then = self._separator(ends)
            if steps[-1].then in ("&&", "||"):
                self.newlines()
                if not self.peek() or ends():
                    raise UnclearCommandError("a command is missing at its end")
            else:
                self.newlines()
        return Line(steps)

    def _separator(self, ends: Callable[[], bool]) -> str:
        char = self.peek()
        if char == "\n":
            self.newlines()
            return ";"
        found = _SEPARATOR.match(self.text, self.at)
        if found is None:
            raise UnclearCommandError(f"it uses {char!r} where a command ends")
        self.operator(found.group())
        self.skip_blanks()
        return found.group()

    def operator(self, operator: str) -> None:
        """Consume an operator, unless the next line would make it another one."""
        self.at += len(operator)
        if JOINED.match(self.text, self.at):
            raise UnclearCommandError("an operator is continued on the next line")

    def newlines(self) -> None:
        """Skip blanks, comments and newlines, and read the here-documents after a newline."""
        self.skip_blanks()
        while self.text[self.at : self.at + 1] == "\n":
            self.at += 1
            self.meter.spend(1)
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
        while found := _PIPE.match(self.text, self.at):
            if found.group() == "|&":
                self.bash_only("|&")
            self.operator(found.group())
            self.newlines()
            commands.append(self.command())
        return Step(commands, negated, "")

    def reserved(self, *wanted: str) -> str:
        """One of these reserved words, consumed with the blanks after it; empty: none."""
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
        found = RESERVED_WORD.match(self.text, self.at)
        return found is not None and found.group() in words

    def expect(self, word: str) -> None:
        """Consume a reserved word. Raises UnclearCommandError when it is not there."""
        if self.reserved(word) != word:
            raise UnclearCommandError(f"it has no {word} where one belongs")

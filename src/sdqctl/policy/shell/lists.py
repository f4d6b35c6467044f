"""Reading lists of commands: pipelines, `&&`, `||`, `;`, `&` and newlines."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Self

from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.simple import JOINED, SimpleReader
from sdqctl.policy.shell.tree import Command, Line, Step

AFTER_WORD = r"(?=[ \t\n;&|<>()]|\Z)"
RESERVED_WORD = re.compile(
    r"(?:if|then|elif|else|fi|while|until|do|done|for|select|case|esac|in|function|time|coproc"
    rf"|\[\[|\]\]|\{{|\}}|!){AFTER_WORD}"
)
_BEFORE_PIPELINES = frozenset("!t")
_SEPARATOR = re.compile(r"&&|\|\||;|&")
_END = re.compile(r"\Z")
PARENTHESIS = re.compile(r"\)")
_AFTER_WORDS = frozenset(["", *" \t\n;&|<>()"])
_BETWEEN = frozenset(" \t\n\\#")
_LONGEST_ROW = 500
"""Characters of a row that is kept; to look at longer ones again and again is no gain."""
_TIME_OPTION = re.compile(r"-p(?=[ \t])")


class ListReader(SimpleReader):
    """Reads lists of commands; the commands themselves are left to `command`."""

    def __init__(self, text: str, meter: Meter, *, depth: int = 0, posix: bool = False) -> None:
        super().__init__(text, meter, depth=depth, posix=posix)
        self._rows: dict[tuple[int, str], list[Step]] = {}
        """What whole rows of the text mean, by depth and text."""
        self.functions: list[str] = []
        """The functions that are defined anywhere in the line."""

    @abstractmethod
    def command(self) -> Command:
        """The command that begins here."""

    def whole(self) -> Line:
        """The whole text."""
        found = self.line(_END)
        if self.pending:
            raise UnclearCommandError("a here-document is not closed")
        found.defines = bool(self.functions)
        return found

    def substitution(self) -> None:
        """The commands of a substitution up to its `)`."""
        if self.pending:
            raise UnclearCommandError("a substitution follows a here-document")
        facts, inner = self.facts, self.inner
        begin = self.at
        if (plain := self.plain_command()) and self.text[self.at : self.at + 1] == ")":
            inner.append(Line([Step([plain], False, "")]))
        else:
            self.at = begin
            inner.append(self._substituted())
        self.at += 1
        self.facts, self.inner = facts, inner

    def _substituted(self) -> Line:
        self.within += 1
        found = self.line(PARENTHESIS)
        self.within -= 1
        if self.pending or not self.follows(")"):
            raise UnclearCommandError("a substitution is not closed")
        return found

    def backticks(self, text: str) -> None:
        """The commands of a text between backticks."""
        child = type(self)(text, self.meter, depth=self.depth, posix=self.posix)
        child.functions = self.functions
        self.inner.append(child.whole())

    def child(self, text: str) -> Self:
        """A reader of a text that belongs to this command."""
        child = type(self)(text, self.meter, depth=self.depth, posix=self.posix)
        child.facts, child.inner, child.functions = self.facts, self.inner, self.functions
        return child

    # -- lists ---------------------------------------------------------------------------------

    def line(self, ends: re.Pattern[str]) -> Line:
        """Commands up to what `ends` matches, which is left."""
        steps: list[Step] = []
        self.newlines()
        while not ends.match(self.text, self.at):
            found = self._steps(ends) if self.within else self._row(ends)
            steps += found
            if not found[-1].then:
                break
            self.newlines()
        return Line(steps)

    def _row(self, ends: re.Pattern[str]) -> list[Step]:
        """Commands up to a newline between them, or to what `ends` matches.

        What a whole row of the text means depends on nothing but its text and how deep it is
        nested, so that a row which comes again is not read again.
        """
        end = self.text.find("\n", self.at, self.at + _LONGEST_ROW)
        if end < 0 or self.pending:
            return self._steps(ends)
        row = self.depth, self.text[self.at : end]
        if known := self._rows.get(row):
            self.at = end
            self.meter.spend(1 + len(known))
            return known
        found = self._steps(ends)
        if self.at == end and not self.pending and found[-1].then:
            self._rows[row] = found
        return found

    def _steps(self, ends: re.Pattern[str]) -> list[Step]:
        text = self.text
        steps: list[Step] = []
        while True:
            step = self._step()
            steps.append(step)
            if not step.then:
                if text[self.at : self.at + 1] == "\n":
                    step.then = ";"
                    return steps
                if self.at >= len(text) or ends.match(text, self.at):
                    return steps
                step.then = self._separator()
            if step.then in ("&&", "||"):
                if self.at >= len(text) or ends.match(text, self.at):
                    raise UnclearCommandError("a command is missing at its end")
            elif text[self.at : self.at + 1] == "\n" or ends.match(text, self.at):
                return steps

    def _separator(self) -> str:
        """The operator between two commands, with the blanks or the newlines after it."""
        found = _SEPARATOR.match(self.text, self.at)
        if found is None:
            raise UnclearCommandError(f"it uses {self.peek()!r} where a command ends")
        self.operator(found.group())
        if found.group() in ("&&", "||"):
            self.newlines()
        else:
            self.skip_blanks()
        return found.group()

    def operator(self, operator: str) -> None:
        """Consume an operator, unless the next line would make it another one."""
        self.at += len(operator)
        if self.text[self.at : self.at + 1] == "\\" and JOINED.match(self.text, self.at):
            raise UnclearCommandError("an operator is continued on the next line")

    def newlines(self) -> None:
        """Skip blanks, comments and newlines, and read the here-documents after a newline."""
        text = self.text
        while (char := text[self.at : self.at + 1]) in _BETWEEN:
            if char == "\n":
                self.at += 1
                self.meter.spend(1)
                if self.pending:
                    self.here_documents()
                continue
            begin = self.at
            self.skip_blanks()
            if self.at == begin:
                return

    def _step(self) -> Step:
        """A pipeline, with the operator after it where a plain command and a word enclose that."""
        text, negated, operator = self.text, False, "|"
        commands: list[Command] = []
        while operator == "|":
            plain = self.plain_step()
            if plain is None and not commands and text[self.at : self.at + 1] in _BEFORE_PIPELINES:
                negated = self._is_negated()
                plain = self.plain_step()
            command, operator = plain or (self.command(), "")
            commands.append(command)
            if not operator and text[self.at : self.at + 1] == "|" and not self.follows("||"):
                self._pipe()
                operator = "|"
        return Step(commands, negated, operator)

    def _is_negated(self) -> bool:
        """What `!` and `time` before a pipeline say."""
        negated = False
        while word := self.reserved("!", "time"):
            negated = negated != (word == "!")
            if word == "time" and (option := _TIME_OPTION.match(self.text, self.at)):
                self.at = option.end()
                self.skip_blanks()
        return negated

    def _pipe(self) -> None:
        if self.text[self.at + 1 : self.at + 2] == "&":
            self.bash_only("|&")
            self.at += 1
        self.operator("|")
        self.newlines()

    def reserved(self, *wanted: str) -> str:
        """One of these reserved words, consumed with the blanks after it; empty: none."""
        for word in wanted:
            end = self.at + len(word)
            if self.text.startswith(word, self.at) and self.text[end : end + 1] in _AFTER_WORDS:
                if word == "time" and self.posix:
                    return ""
                self.at = end
                self.skip_blanks()
                return word
        return ""

    def expect(self, word: str) -> None:
        """Consume a reserved word. Raises UnclearCommandError when it is not there."""
        if self.reserved(word) != word:
            raise UnclearCommandError(f"it has no {word} where one belongs")

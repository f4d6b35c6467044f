"""Taking a command line apart: every simple command in it, and the files its redirections open.

The compound commands of bash(1) are laid flat: what stands in a loop, a branch, a function, a
subshell or a substitution is a command like any other. What is not known for certain is an
`UnclearCommandError`, and the policy denies it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from sdqctl.policy.shell.words import UnclearCommandError, Word, WordReader

_LONGEST = 200_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_REDIRECTIONS = ("<<<", "<<-", "<<", "<>", "<&", "<", "&>>", "&>", ">>", ">&", ">|", ">")
_SEPARATORS = (";;&", ";;", ";&", ";", "&&", "&", "||", "|&", "|")
_OPENING = frozenset({"if", "then", "elif", "else", "while", "until", "do", "{", "!"})
_CLOSING = frozenset({"fi", "done", "esac", "}"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]=]*\])?\+?=", re.ASCII)
_DESCRIPTOR = re.compile(r"\d+|\{[A-Za-z_]\w*\}", re.ASCII)
_DUPLICATE = re.compile(r"\d*-?", re.ASCII)
_FUNCTION = re.compile(r"\([ \t]*\)")
_TEST_OPERATORS = frozenset("()<>&|")


@dataclass(frozen=True)
class Redirection:
    """A file that is opened: for reading, else for writing."""

    target: Word
    reads: bool


@dataclass(frozen=True)
class SimpleCommand:
    """One program with its words, the variables set for it, and its redirections."""

    words: tuple[Word, ...] = ()
    assignments: tuple[str, ...] = ()
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True)
class CommandLine:
    """A line taken apart. `evaluates`: a variable's value might run as arithmetic."""

    commands: tuple[SimpleCommand, ...]
    evaluates: bool


def parse_command_line(line: str, depth: int = 0) -> CommandLine:
    """Every simple command of a line, in order. Raises UnclearCommandError."""
    if len(line) > _LONGEST:
        raise UnclearCommandError("it is too long")
    if _CONTROL.search(line):
        raise UnclearCommandError("it holds control characters")
    parser = _Parser(line, depth)
    parser.read_commands(until=None)
    return CommandLine(tuple(parser.found), parser.facts.evaluates)


@dataclass
class _Draft:
    """A simple command that is being read."""

    words: list[Word] = field(default_factory=list)
    assignments: list[str] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.words or self.assignments or self.redirections)

    def command(self) -> SimpleCommand:
        return SimpleCommand(tuple(self.words), tuple(self.assignments), tuple(self.redirections))


@dataclass(frozen=True)
class _HereDocument:
    delimiter: str
    literal: bool
    tabs: bool


class _Parser(WordReader):
    def __init__(self, text: str, depth: int = 0) -> None:
        super().__init__(text, depth)
        self.found: list[SimpleCommand] = []
        self._pending: list[_HereDocument] = []
        self._draft = _Draft()

    def commands_until_parenthesis(self) -> None:
        if self._pending:
            raise UnclearCommandError("a substitution follows a here-document")
        draft, self._draft = self._draft, _Draft()
        self.read_commands(until=")")
        self._draft = draft

    def commands_of(self, text: str) -> None:
        self._child(text).read_commands(until=None)

    def _child(self, text: str) -> Self:
        child = type(self)(text, self.depth)
        child.found, child.facts = self.found, self.facts
        return child

    def read_commands(self, until: str | None) -> None:
        """Read commands up to `until`, which is consumed, or to the end of the text."""
        while True:
            self._skip_blanks()
            char = self.peek()
            if char in ("", ")"):
                self._end(char, until)
                return
            self._next(char)

    def _end(self, char: str, until: str | None) -> None:
        if char != (until or "") or self._pending:
            raise UnclearCommandError("its parentheses or here-documents are not paired")
        self._finish()
        self.at += len(char)

    def _next(self, char: str) -> None:
        if char == "\n":
            self._finish()
            self.at += 1
            self._read_here_documents()
        elif char == "(":
            self._parenthesis()
        elif char in "<>" or self.follows("&>"):
            self._redirection_or_word()
        elif char in ";&|":
            self._finish()
            operator = next(o for o in _SEPARATORS if self.follows(o))
            self.at += len(operator)
            if operator in (";;", ";&", ";;&"):
                self._case_patterns()
        else:
            self._word()

    def _finish(self) -> None:
        if not self._draft.empty:
            self.found.append(self._draft.command())
        self._draft = _Draft()

    def _skip_blanks(self, *, newlines: bool = False) -> None:
        while char := self.peek():
            if char in " \t" or (newlines and char == "\n" and not self._pending):
                self.at += 1
            elif self.follows("\\\n"):
                self.at += 2
            elif char == "#" and self._begins_word():
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def _begins_word(self) -> bool:
        return self.at == 0 or self.text[self.at - 1] in " \t\n;&|()<>"

    # -- words ---------------------------------------------------------------------------------

    def _word(self) -> None:
        word, draft = self.word(), self._draft
        following = self.peek()
        if following in ("<", ">") and following and _DESCRIPTOR.fullmatch(word.raw):
            return
        if draft.empty and self._reserved(word.raw):
            return
        assignment = _ASSIGNMENT.match(word.raw)
        if assignment and not draft.words:
            draft.assignments.append(assignment.group(1))
        elif not word.raw and following:
            raise UnclearCommandError(f"it uses {following!r} where a command is awaited")
        else:
            draft.words.append(word)
        if following == "(" and assignment and word.raw.endswith("="):
            self._array()

    def _array(self) -> None:
        self.at += 1
        while True:
            self._skip_blanks(newlines=True)
            if self.peek() == ")":
                self.at += 1
                return
            if not self.word().raw:
                raise UnclearCommandError("an array is not closed")

    def _parenthesis(self) -> None:
        """A subshell, or the `()` of a function; its body is read as any command."""
        draft = self._draft
        function = _FUNCTION.match(self.text, self.at)
        if function and len(draft.words) == 1 and not draft.assignments:
            self.at = function.end()
            draft.words.clear()
        elif draft.empty:
            self.at += 1
            with self.deeper():
                self.read_commands(until=")")
        else:
            raise UnclearCommandError("it uses '(' within a command")

    def _reserved(self, raw: str) -> bool:
        """Whether a word is the shell's own; what belongs to it is read."""
        if raw in _OPENING or raw in _CLOSING:
            return True
        if raw == "coproc":
            raise UnclearCommandError("it uses coproc")
        readers = {
            "time": self._time,
            "for": self._for,
            "select": self._for,
            "case": self._case,
            "function": self._function,
            "[[": self._test,
        }
        if raw not in readers:
            return False
        readers[raw]()
        return True

    def _time(self) -> None:
        for option in ("-p", "--"):
            self._skip_blanks()
            begin = self.at
            if self.word().raw != option:
                self.at = begin

    def _function(self) -> None:
        self._skip_blanks()
        self.word()
        self._skip_blanks()
        if function := _FUNCTION.match(self.text, self.at):
            self.at = function.end()

    def _for(self) -> None:
        self._skip_blanks()
        if self.follows("(("):
            self.at += 2
            self._loop_arithmetic()
            return
        name = self.word().raw
        self.found.append(SimpleCommand(assignments=(name,)))
        self._skip_blanks(newlines=True)
        begin = self.at
        if self.word().raw != "in":
            self.at = begin
            return
        self._skip_blanks()
        while self.peek() not in (";", "\n"):
            if not self.word().raw:
                raise UnclearCommandError("a loop is not clear")
            self._skip_blanks()

    def _loop_arithmetic(self) -> None:
        end = self.text.find("))", self.at)
        parts = self.text[self.at : max(end, self.at)].split(";")
        if end < 0 or len(parts) != 3:
            raise UnclearCommandError("a loop is not clear")
        for part in parts:
            child = self._child(part + "))")
            child.arithmetic("))")
            if child.at != len(child.text):
                raise UnclearCommandError("a loop is not clear")
        self.facts.evaluates = True
        self.at = end + 2

    def _case(self) -> None:
        self._skip_blanks()
        self.word()
        self._skip_blanks(newlines=True)
        if self.word().raw != "in":
            raise UnclearCommandError("a case is not clear")
        self._case_patterns()

    def _case_patterns(self) -> None:
        """The patterns before a branch of a case; none before its esac."""
        self._skip_blanks(newlines=True)
        begin = self.at
        if self.peek() == "(":
            self.at += 1
        elif self.word().raw == "esac":
            self.at = begin
            return
        else:
            self.at = begin
        while True:
            self._skip_blanks()
            self.word()
            self._skip_blanks()
            char = self.peek()
            self.at += 1
            if char == ")":
                return
            if char != "|":
                raise UnclearCommandError("a case is not clear")

    def _test(self) -> None:
        self.facts.evaluates = True
        self._draft.words.append(Word("[[", "[["))
        while True:
            self._skip_blanks(newlines=True)
            if self.peek() in _TEST_OPERATORS and not (self.follows("<(") or self.follows(">(")):
                self.at += 1
                continue
            raw = self.word().raw
            if raw == "]]":
                return
            if not raw:
                raise UnclearCommandError("a [[ is not closed")

    # -- redirections --------------------------------------------------------------------------

    def _redirection_or_word(self) -> None:
        if self.follows("<(") or self.follows(">("):
            self._draft.words.append(self.word())
            return
        operator = next(o for o in _REDIRECTIONS if self.follows(o))
        self.at += len(operator)
        self._skip_blanks()
        if operator in ("<<", "<<-"):
            self._pending.append(self._here_document(tabs=operator == "<<-"))
            return
        target = self.word()
        if not target.raw:
            raise UnclearCommandError("a redirection has no target")
        if operator == "<<<":
            return
        duplicates = operator in ("<&", ">&") and target.text is not None
        if duplicates and _DUPLICATE.fullmatch(target.text or ""):
            return
        if operator in ("<", "<>", "<&"):
            self._draft.redirections.append(Redirection(target, reads=True))
        if operator != "<" and operator != "<&":
            self._draft.redirections.append(Redirection(target, reads=False))

    def _here_document(self, *, tabs: bool) -> _HereDocument:
        word = self.word()
        if word.text is None or not word.raw or "$" in word.raw or "`" in word.raw:
            raise UnclearCommandError("the end of a here-document is not clear")
        return _HereDocument(word.text, any(quote in word.raw for quote in "'\"\\"), tabs)

    def _read_here_documents(self) -> None:
        pending, self._pending = self._pending, []
        for document in pending:
            body = self._body(document)
            if not document.literal:
                self._child(body).expansions()

    def _body(self, document: _HereDocument) -> str:
        lines: list[str] = []
        while self.at < len(self.text):
            line = self._line()
            joined = False
            while not document.literal and _is_continued(line) and self.at < len(self.text):
                line, joined = line[:-1] + self._line(), True
            plain = line.lstrip("\t") if document.tabs else line
            if plain == document.delimiter:
                if joined:
                    break
                return "\n".join(lines)
            lines.append(line)
        raise UnclearCommandError("a here-document is not closed")

    def _line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = min(end + 1, len(self.text))
        return line


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1

"""From text to directives with their values and bodies (the rules of docs/language.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from sdqctl.model.workflow import Diagnostic, Severity, Span
from sdqctl.text.fences import Fence
from sdqctl.text.suggest import nearest
from sdqctl.workflow.bodies import body_text
from sdqctl.workflow.columns import WORDS, Columns, has_flow
from sdqctl.workflow.directives import DIRECTIVES, Arity

MOST_DIAGNOSTICS = 1000
"""A file with more mistakes than this is no workflow; the rest is not reported."""
_LONGEST_COMMAND = 500
"""Lines that an open quote of a RUN may take in."""
_WORD = re.compile(r"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*)(?=[\s:]|$)")
_SHOUTED = re.compile(r"[A-Z][A-Z-]{3,}(?=[\s:]|$)")
_INFLECTIONS = ("S", "D", "ED", "ING")
_OFTEN_MEANT = frozenset({"PROMPT", "RUN", "PAUSE", "ELIDE", "COMPACT", "PROLOGUE", "EPILOGUE"})
_HEREDOC = re.compile(r"<<(-?)\s*(['\"]?)(\w+)\2\s*$")


@dataclass
class Item:
    """One directive as it stands: its name, its value, and the place of both."""

    name: str
    value: str
    span: Span
    value_column: int
    body: str | None = None
    """The text of a body directive, whole."""
    faulty: bool = False
    """Whether what is wrong with the value has been reported already."""

    @property
    def text(self) -> str:
        """What stands after the name, whole."""
        return self.value if self.body is None else self.body

    @property
    def value_span(self) -> Span:
        """Where the value begins."""
        return Span(self.span.file, self.span.line, self.value_column)


@dataclass
class Lexed:
    """What a text is made of."""

    items: list[Item] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def lex(text: str, path: str) -> Lexed:
    """Split a text into directives; everything that is not one is reported."""
    return _Lexer(text, path).run()


def split_lines(text: str) -> list[str]:
    """The lines of a text, whatever they end with, without a byte order mark."""
    plain = text.removeprefix("\ufeff")
    return plain.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class _Lexer:
    def __init__(self, text: str, path: str) -> None:
        self._lines = split_lines(text)
        self._path = path
        self._at = 0
        self._found = Lexed()
        self._last: Item | None = None
        self._columns = Columns()
        self._flows = has_flow(text)

    def run(self) -> Lexed:
        self._skip_front_matter()
        while self._at < len(self._lines):
            line = self._lines[self._at]
            name = self._directive_at(line, within=False)
            if name is not None:
                self._directive(name, line)
            else:
                comment = line.lstrip() if self._columns.nested else line
                if line.strip() and not comment.startswith("#"):
                    self._stray(line)
                self._at += 1
        return self._found

    def _directive_at(self, line: str, *, within: bool) -> str | None:
        """The directive that a line is in the block that is open; `within` the body of another."""
        bare = line.lstrip(" \t") if self._columns.nested else line
        name = directive_name(bare)
        if name is None or (within and name in WORDS and not self._flows):
            return None
        return name if self._columns.holds(name, len(line) - len(bare)) else None

    def _bare(self, line: str) -> str:
        """A line of a body without the indent of its block."""
        indent = self._columns.current
        return line[indent:] if not line[:indent].strip() else line

    def _skip_front_matter(self) -> None:
        if self._lines[0].rstrip() != "---":
            return
        for index, line in enumerate(self._lines[1:], start=1):
            if line.rstrip() in ("---", "..."):
                self._at = index + 1
                return

    def _directive(self, name: str, line: str) -> None:
        indent = len(line) - len(line.lstrip(" \t"))
        rest = line[indent + len(name) :]
        column = indent + len(name) + len(rest) - len(rest.lstrip()) + 1
        item = Item(name, rest.strip(), Span(self._path, self._at + 1, indent + 1), column)
        self._at += 1
        if problem := self._columns.take(name, indent):
            self._error(problem, self._at)
        row = DIRECTIVES[name]
        if row.is_text:
            self._body(item)
        elif row.arity is Arity.COMMAND:
            self._command(item)
        self._found.items.append(item)
        self._last = item

    # -- bodies -----------------------------------------------------------------------------------

    def _body(self, item: Item) -> None:
        heredoc = _HEREDOC.match(item.value)
        if heredoc is not None:
            self._heredoc(item, str(heredoc[3]), strip_tabs=bool(heredoc[1]))
            return
        first = "" if item.value == "|" else item.value
        item.body = body_text(first, self._body_lines(first))

    def _body_lines(self, first: str) -> list[str]:
        """The lines up to the next directive; a fenced code block is text throughout."""
        start = self._at
        fence = Fence(loose=True)
        fence.take(first, start)
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not fence.opened and self._directive_at(line, within=True) is not None:
                break
            self._at += 1
            if not fence.take(line, self._at):
                self._suspect(self._bare(line))
        if fence.opened:
            self._warn("the code fence is not closed; everything after it is text", fence.opened)
        return [self._bare(line) for line in self._lines[start : self._at]]

    def _suspect(self, line: str) -> None:
        """Warn about a body line that was probably meant as a directive."""
        if line[:1] in (" ", "\t"):
            name = directive_name(line.strip())
            if name is not None and name != "END":
                self._warn(f"the indented {name} is text, not a directive", self._at)
            return
        word = _SHOUTED.match(line)
        if word is None:
            return
        name = word.group()
        if name in DIRECTIVES:
            if name in _OFTEN_MEANT or "-" in name:
                self._warn(f"{name}: is text here; a directive is followed by a blank", self._at)
        elif (meant := _directive_near(name)) and name.removeprefix(meant) not in _INFLECTIONS:
            self._warn(f"{name} is text here, no directive; did you mean {meant}?", self._at)

    def _heredoc(self, item: Item, word: str, *, strip_tabs: bool) -> None:
        lines: list[str] = []
        while self._at < len(self._lines):
            line = self._bare(self._lines[self._at])
            line = line.lstrip("\t") if strip_tabs else line
            self._at += 1
            if line.rstrip() == word:
                break
            lines.append(line)
        else:
            self._error(f"the heredoc is not closed: a line {word} is missing", item.span.line)
        item.body = "\n".join(lines)

    # -- commands ---------------------------------------------------------------------------------

    def _command(self, item: Item) -> None:
        """RUN goes on while a quote is open or a line ends in a backslash."""
        start = self._at
        pieces = [item.value]
        quote = _quote_after(item.value, "")
        while self._at < len(self._lines) and self._at - start < _LONGEST_COMMAND:
            line = self._lines[self._at]
            if quote:
                pieces.append("\n" + line)
            elif _goes_on(pieces[-1]):
                line = line.strip()
                pieces[-1] = pieces[-1][:-1].rstrip()
                pieces.append(" " + line)
            else:
                break
            quote = _quote_after(line, quote)
            self._at += 1
        if quote:
            self._at, item.faulty = start, True
            self._error(f"a {quote} of this {item.name} is not closed", item.span.line)
            return
        self._warn_of_taken(item.name, range(start, self._at))
        if _goes_on(pieces[-1]):
            pieces[-1] = pieces[-1][:-1]
        item.value = "".join(pieces).strip()

    def _warn_of_taken(self, name: str, indexes: Iterable[int]) -> None:
        for index in indexes:
            taken = directive_name(self._lines[index])
            if taken is not None:
                self._warn(f"this {taken} is part of the {name} above, not a directive", index + 1)

    # -- what is no directive ---------------------------------------------------------------------

    def _stray(self, line: str) -> None:
        word = _WORD.match(line)
        if word is not None and ("-" in word.group() or len(word.group()) > 2):
            self._unknown(word.group())
            return
        start = line.split()[0].rstrip(":").upper()
        hint: str | None = None
        if start in DIRECTIVES:
            hint = f"directives are upper case, at the start of the line: {start}"
        elif self._last is not None:
            hint = (
                f"{self._last.name} in line {self._last.span.line} takes one line only; "
                "text belongs after a PROMPT"
            )
        self._error("text outside of a directive", self._at + 1, hint=hint)

    def _unknown(self, name: str) -> None:
        meant = _directive_near(name, cutoff=0.6)
        hint = f"did you mean {meant}?" if meant else None
        if name in DIRECTIVES:
            hint = f"a directive is followed by a blank: {name} ..."
        self._error(f"unknown directive {name}", self._at + 1, hint=hint)

    def _error(self, message: str, line: int, *, hint: str | None = None) -> None:
        self._report(Severity.ERROR, message, line, hint)

    def _warn(self, message: str, line: int) -> None:
        self._report(Severity.WARNING, message, line, None)

    def _report(self, severity: Severity, message: str, line: int, hint: str | None) -> None:
        if len(self._found.diagnostics) >= MOST_DIAGNOSTICS and severity is Severity.WARNING:
            return
        if len(self._found.diagnostics) >= MOST_DIAGNOSTICS:
            self._at = len(self._lines)
            message, hint = "there are too many mistakes; the rest of the file was not read", None
        source = self._lines[line - 1]
        column = len(source) - len(source.lstrip()) + 1
        self._found.diagnostics.append(
            Diagnostic(
                severity=severity,
                message=message,
                span=Span(self._path, line, column),
                source_line=source,
                hint=hint,
            )
        )


def directive_name(line: str) -> str | None:
    """The known directive at the start of a line, followed by white space or its end."""
    word = _WORD.match(line)
    if word is None or word.group() not in DIRECTIVES:
        return None
    following = line[word.end() : word.end() + 1]
    return word.group() if not following or following.isspace() else None


@lru_cache(maxsize=1024)
def _directive_near(name: str, cutoff: float = 0.8) -> str | None:
    return nearest(name, DIRECTIVES, cutoff=cutoff)


def _quote_after(text: str, quote: str) -> str:
    """The quote that is open at the end of a text at whose start `quote` was open."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return quote


def _goes_on(piece: str) -> bool:
    """Whether a piece of a command ends in a backslash that is not escaped itself."""
    return (len(piece) - len(piece.rstrip("\\"))) % 2 == 1

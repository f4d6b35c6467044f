"""From text to directives with their values and bodies (the rules of docs/language.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from sdqctl.conversation.directives import BODY_DIRECTIVES, DIRECTIVES
from sdqctl.model.workflow import Diagnostic, Severity, Span

_WORD = re.compile(r"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*)(?=[\s:]|$)")
_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})(.*)$")
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
    literal: bool = False
    """Whether the body is a heredoc, kept as it is."""


@dataclass
class Lexed:
    """What a text is made of."""

    items: list[Item] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def lex(text: str, path: str) -> Lexed:
    """Split a text into directives; everything that is not one is reported."""
    return _Lexer(text, path).run()


class _Lexer:
    def __init__(self, text: str, path: str) -> None:
        self._lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._path = path
        self._at = 0
        self._found = Lexed()
        self._last: Item | None = None

    def run(self) -> Lexed:
        self._skip_front_matter()
        while self._at < len(self._lines):
            line = self._lines[self._at]
            name = directive_name(line)
            if name is not None:
                self._directive(name, line)
            else:
                if line.strip() and not line.startswith("#"):
                    self._stray(line)
                self._at += 1
        return self._found

    def _skip_front_matter(self) -> None:
        if self._lines[:1] != ["---"]:
            return
        for index, line in enumerate(self._lines[1:], start=1):
            if line.rstrip() in ("---", "..."):
                self._at = index + 1
                return

    def _directive(self, name: str, line: str) -> None:
        rest = line[len(name) :]
        value = rest.strip()
        column = len(name) + len(rest) - len(rest.lstrip()) + 1
        item = Item(name, value, Span(self._path, self._at + 1), column)
        self._at += 1
        if name in BODY_DIRECTIVES:
            self._body(item)
        elif name == "RUN":
            self._command(item)
        self._found.items.append(item)
        self._last = item

    def _body(self, item: Item) -> None:
        heredoc = _HEREDOC.match(item.value)
        if heredoc is not None:
            self._heredoc(item, heredoc.group(3), strip_tabs=bool(heredoc.group(1)))
            return
        first = "" if item.value == "|" else item.value
        lines = self._body_lines(item)
        text = "\n".join(_dedent(_without_trailing_comments(lines)))
        item.body = "\n".join(part for part in (first, text) if part) if first else text
        item.body = item.body.rstrip()

    def _body_lines(self, item: Item) -> list[str]:
        """The lines up to the next directive; a fenced code block is text throughout."""
        lines: list[str] = []
        fence: str = ""
        opened = 0
        opening = _FENCE.match(item.value)
        if opening is not None:
            fence, opened = str(opening[1]), item.span.line
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not fence and directive_name(line) is not None:
                break
            mark = _FENCE.match(line)
            if mark is not None and not fence:
                fence, opened = str(mark[1]), self._at + 1
            elif mark is not None and _closes(fence, mark):
                fence = ""
            if not fence and not lines and _indented_directive(line):
                self._warn(f"the indented {line.split()[0]} is text, not a directive", self._at + 1)
            lines.append(line)
            self._at += 1
        if fence:
            self._warn("the code fence is not closed; everything behind it is text", opened)
        return lines

    def _heredoc(self, item: Item, word: str, *, strip_tabs: bool) -> None:
        lines: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            line = line.lstrip("\t") if strip_tabs else line
            self._at += 1
            if line.rstrip() == word:
                item.body, item.literal = "\n".join(lines), True
                return
            lines.append(line)
        item.body, item.literal = "\n".join(lines), True
        self._error(f"the heredoc is not closed: a line {word} alone is missing", item.span.line)

    def _command(self, item: Item) -> None:
        """RUN goes on while a quote is open or a line ends in a backslash."""
        while self._at < len(self._lines):
            if item.value.endswith("\\") and not item.value.endswith("\\\\"):
                item.value = item.value[:-1].rstrip() + " " + self._lines[self._at].strip()
            elif _open_quote(item.value):
                item.value += "\n" + self._lines[self._at]
            else:
                return
            self._at += 1
        if _open_quote(item.value):
            self._error("a quote of this RUN is not closed", item.span.line)

    def _stray(self, line: str) -> None:
        word = _WORD.match(line)
        if word is not None and ("-" in word.group() or len(word.group()) > 2):
            self._unknown(word.group())
            return
        lowered = line.split(":")[0].split()[0].upper() if line.split(":")[0].split() else ""
        hint: str | None = None
        if lowered in DIRECTIVES:
            hint = f"directives are upper case: {lowered}"
        elif self._last is not None:
            hint = (
                f"{self._last.name} in line {self._last.span.line} takes one line only; "
                "text belongs behind a PROMPT"
            )
        self._error("text outside of a directive", self._at + 1, hint=hint)

    def _unknown(self, name: str) -> None:
        near = get_close_matches(name, DIRECTIVES, n=1)
        hint = f"did you mean {near[0]}?" if near else None
        if name in DIRECTIVES:
            hint = f"a directive is followed by a blank: {name} ..."
        self._error(f"unknown directive {name}", self._at + 1, hint=hint)

    def _error(self, message: str, line: int, *, hint: str | None = None) -> None:
        self._report(Severity.ERROR, message, line, hint)

    def _warn(self, message: str, line: int) -> None:
        self._report(Severity.WARNING, message, line, None)

    def _report(self, severity: Severity, message: str, line: int, hint: str | None) -> None:
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


def _closes(fence: str, mark: re.Match[str]) -> bool:
    return (
        mark.group(1)[0] == fence[0]
        and len(mark.group(1)) >= len(fence)
        and not mark.group(2).strip()
    )


def _indented_directive(line: str) -> bool:
    return line[:1] in (" ", "\t") and directive_name(line.strip()) is not None


def _open_quote(value: str) -> bool:
    quote = ""
    escaped = False
    for char in value:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return bool(quote)


def _without_trailing_comments(lines: Sequence[str]) -> list[str]:
    """Drop `# ...` lines that only comments and blank lines follow, up to the body's end."""
    end = len(lines)
    fenced = _fenced_lines(lines)
    while end > 0:
        line = lines[end - 1]
        comment = line.startswith("#") and not line.startswith("##") and end - 1 not in fenced
        if line.strip() and not comment:
            break
        end -= 1
    return list(lines[:end])


def _fenced_lines(lines: Sequence[str]) -> set[int]:
    inside: set[int] = set()
    fence = ""
    for index, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            inside.add(index)
            if mark is not None and _closes(fence, mark):
                fence = ""
        elif mark is not None:
            fence = mark.group(1)
    return inside


def _dedent(lines: Sequence[str]) -> list[str]:
    """Strip the indent that all lines with text share; the relative one stays."""
    indents = [line[: len(line) - len(line.lstrip())] for line in lines if line.strip()]
    if not indents:
        return list(lines)
    common = min(indents, key=len)
    for indent in indents:
        while not indent.startswith(common):
            common = common[:-1]
    return [line[len(common) :] if line.strip() else line.strip() for line in lines]

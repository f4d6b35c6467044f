"""Markdown on a terminal as it streams: a block is shown when it is whole, so nothing flickers.

Code is shown line by line: a block of it may take a model a minute.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from sdqctl.cli.output import terminal_width, write, write_painted
from sdqctl.text.fences import closes, opening
from sdqctl.text.terminal import sanitize

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.markdown import Markdown
    from rich.text import Text

_LONGEST = 64 * 1024
"""Characters of a block that are waited for."""
_CONTEXT = 20
"""Lines of code that are looked at again with each further one, at the least."""
_AHEAD = 2.0
"""Seconds that colouring may take at once."""
_TAB = 4
_THEME = "ansi_dark"
_FIRST_LINE = re.compile(r"(?:[ \t]*\n)*([^\n]*)\n")
_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")


class MarkdownStream:
    """Takes pieces of text in, and writes rendered blocks, of code every line as it ends."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True
        self._code: _Code | None = None

    def feed(self, piece: str) -> None:
        """Add a piece; whole blocks are written, and of one without an end what is there."""
        self._text += piece
        if "\n" in piece:
            self._write_whole()
        if len(self._text) > _LONGEST:
            self._write_rest()

    def finish(self) -> None:
        """The text has ended: write what is left."""
        self._write_rest()
        self._first, self._code = True, None

    def _write_whole(self) -> None:
        """Write the blocks and lines of code that have ended."""
        while True:
            if self._code is not None:
                if not self._write_code_line(self._code):
                    return
            elif (line := _FIRST_LINE.match(self._text)) and (mark := opening(line[1])):
                self._text = self._text[line.end() :]
                self._code = _Code(line[1], mark)
            elif (end := _block_end(self._text)) is not None:
                block, self._text = self._text[:end], self._text[end:]
                self._render(block)
            else:
                return

    def _write_code_line(self, code: _Code) -> bool:
        """Write the next line of code; False when there is no whole one."""
        line, newline, rest = self._text.partition("\n")
        if not newline:
            return False
        self._text = rest
        if code.is_closed_by(line):
            self._code = None
        else:
            self._write_code(code, line)
        return True

    def _write_rest(self) -> None:
        text, self._text = self._text, ""
        if self._code is None:
            self._render(text)
        elif not self._code.is_closed_by(text):
            self._write_code(self._code, text)

    def _write_code(self, code: _Code, line: str) -> None:
        begins, painted = not code.shown, code.add(line)
        if painted:
            self._write(painted, begins=begins)

    def _render(self, block: str) -> None:
        if block.strip():
            self._write(render(block), begins=True)

    def _write(self, painted: str, *, begins: bool) -> None:
        """Write a block, or a part of one that does not begin it."""
        if begins and not self._first:
            write("\n")
        self._first = False
        write_painted(painted)


class _Code:
    """The lines of one fenced block, each coloured as those before it ask for."""

    def __init__(self, first: str, mark: str) -> None:
        self._mark = mark
        self._indent = len(first) - len(first.lstrip(" "))
        language = first.strip().lstrip("`~").strip().partition(" ")[0]
        self._painter = _CodePainter(language or "text")
        self._lines: list[str] = []
        """What is looked at again with each line."""
        self._blank = 0
        """Blank lines, which are written when another line comes after them."""
        self.shown = False
        """Whether a line of it was written."""

    def is_closed_by(self, line: str) -> bool:
        """Whether a line ends the block."""
        return closes(line, self._mark)

    def add(self, line: str) -> str:
        """Take a line in; returns what is to be written now."""
        if not line.strip():
            self._blank += 1
            return ""
        if self._may_forget(line) or self._painter.is_behind():
            self._lines = []
        indent = min(self._indent, len(line) - len(line.lstrip(" ")))
        self._lines += [*[""] * self._blank, sanitize(line[indent:])]
        gap = "\n" * self._blank if self.shown else ""
        self._blank, self.shown = 0, True
        return gap + self._painter.last_of(self._lines)

    def _may_forget(self, line: str) -> bool:
        """Whether to colour from here anew: no string or comment is likely to go on."""
        count = len(self._lines)
        apart = self._blank > 0 and not line[0].isspace()
        return count > 3 * _CONTEXT or (apart and count > _CONTEXT)


class _CodePainter:
    """Colours code of a language."""

    def __init__(self, language: str) -> None:
        from rich.syntax import Syntax

        self._lexer = Syntax("", language).lexer
        self._theme = Syntax.get_theme(_THEME)
        self._began = time.monotonic()
        self._spent = 0.0

    def last_of(self, lines: list[str]) -> str:
        """The last of the lines for this terminal."""
        from rich.padding import Padding

        began = time.monotonic()
        line = self._coloured([line.expandtabs(_TAB) for line in lines])
        painted = _captured(Padding(line, (0, 1)))
        self._spent += time.monotonic() - began
        return painted

    def is_behind(self) -> bool:
        """Whether it takes so much of the time that the answer has to wait for its colours."""
        return self._spent > _AHEAD + (time.monotonic() - self._began) / 3

    def _coloured(self, lines: list[str]) -> Text:
        from rich.text import Text

        line = Text(justify="left")
        if self._lexer is None:
            return line.append(lines[-1])
        place = -sum(len(before) + 1 for before in lines[:-1])
        for kind, value in self._lexer.get_tokens("\n".join(lines)):
            if place + len(value) > 0:
                part = value[max(-place, 0) :].rstrip("\n")
                line.append(part, self._theme.get_style_for_token(kind))
            place += len(value)
        return line


def render(text: str) -> str:
    """Markdown for this terminal: coloured unless NO_COLOR says no; no links that could deceive."""
    document = _markdown()(sanitize(text), hyperlinks=False, code_theme=_THEME)
    _keep_line_breaks(document)
    return _captured(document).strip("\n") + "\n"


def _captured(content: RenderableType) -> str:
    """What rich makes of it, without blanks at the ends of lines."""
    from rich.console import Console

    console = Console(
        width=terminal_width(),
        force_terminal=True,
        no_color="NO_COLOR" in os.environ,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(content)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


@cache
def _markdown() -> type[Markdown]:
    """Markdown whose headings stand at the left, as the text does."""
    from rich.console import Console, ConsoleOptions
    from rich.markdown import Heading, Markdown

    class LeftHeading(Heading):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
            self.text.justify = "left"
            yield self.text

    class LeftMarkdown(Markdown):
        elements = {**Markdown.elements, "heading_open": LeftHeading}  # noqa: RUF012 - rich's own

    return LeftMarkdown


def _keep_line_breaks(document: Markdown) -> None:
    """Models break lines where they mean it; markdown alone would fold them into a paragraph."""
    for token in document.parsed:
        for child in token.children or []:
            if child.type == "softbreak":
                child.type = "hardbreak"


def _block_end(text: str) -> int | None:
    """Where a block that is no code ends: after a blank line, or before a fence.

    An item of a list goes on after a blank line as long as what follows is indented, and may have
    fences in it.
    """
    block = _Block()
    for line in text.splitlines(keepends=True):
        if (end := block.add(line)) is not None:
            return end
        if not line.endswith("\n"):
            return None
    return None


class _Block:
    """A block that grows by lines."""

    def __init__(self) -> None:
        self._size = 0
        self._begun = False
        self._in_list = False
        self._fence: str | None = None
        self._blank: int | None = None
        """Where a list's item ended, if what follows is not indented."""

    def add(self, line: str) -> int | None:
        """Take one line in; where the block ended, if it is known now."""
        if self._blank is not None and line.strip():
            if not line[:1].isspace():
                return self._blank
            self._blank = None
        if not line.endswith("\n"):
            return None
        if self._fence is None and self._begun and self._is_fence_outside(line):
            return self._size
        self._size += len(line)
        if self._fence is not None:
            self._add_code(line, self._fence)
            return None
        if line.strip():
            self._add_text(line)
            return None
        if self._begun and self._in_list:
            self._blank = self._blank or self._size
        return self._size if self._begun and not self._in_list else None

    def _is_fence_outside(self, line: str) -> bool:
        return opening(line) is not None and not (self._in_list and line[0].isspace())

    def _add_text(self, line: str) -> None:
        self._in_list = self._in_list or (not self._begun and _ITEM.match(line) is not None)
        self._fence, self._begun = opening(line, in_list=True) if self._in_list else None, True

    def _add_code(self, line: str, fence: str) -> None:
        if closes(line, fence, in_list=True):
            self._fence = None

"""Markdown on a terminal as it streams: a block is shown when it is whole, so nothing flickers."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from sdqctl.cli.output import terminal_width, write, write_painted
from sdqctl.model.terminal import harmless

if TYPE_CHECKING:
    from rich.markdown import Markdown

_LONGEST = 64 * 1024
"""Characters of a block that are waited for."""
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_FENCE_IN_LIST = re.compile(r"^\s*(?:(?:[-*+]|\d{1,9}[.)])\s+)*(`{3,}|~{3,})")


class MarkdownStream:
    """Takes pieces of text in, and writes rendered blocks."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, piece: str) -> None:
        """Add a piece; whole blocks are written, and of one without an end what is there."""
        self._text += piece
        if len(self._text) > _LONGEST:
            block, self._text = self._text, ""
            self._render(block)
        if "\n" not in piece:
            return
        while (end := _block_end(self._text)) is not None:
            block, self._text = self._text[:end], self._text[end:]
            self._render(block)

    def finish(self) -> None:
        """The text has ended: write what is left."""
        block, self._text = self._text, ""
        self._render(block)
        self._first = True

    def _render(self, block: str) -> None:
        if not block.strip():
            return
        if not self._first:
            write("\n")
        self._first = False
        write_painted(render(block))


def render(text: str) -> str:
    """Markdown for this terminal: coloured unless NO_COLOR says no; no links that could deceive."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(
        width=terminal_width(),
        force_terminal=True,
        no_color="NO_COLOR" in os.environ,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        document = Markdown(harmless(text), hyperlinks=False, code_theme="ansi_dark")
        _keep_line_breaks(document)
        console.print(document)
    lines = "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    return lines.strip("\n") + "\n"


def _keep_line_breaks(document: Markdown) -> None:
    """Models break lines where they mean it; markdown alone would fold them into a paragraph."""
    for token in document.parsed:
        for child in token.children or []:
            if child.type == "softbreak":
                child.type = "hardbreak"


def _block_end(text: str) -> int | None:
    """Where the first whole block ends: after a blank line outside fences, or after a fence.

    An item of a list goes on after a blank line as long as what follows is indented.
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
        self._size += len(line)
        if self._fence is not None:
            return self._add_code(line, self._fence)
        if line.strip():
            self._add_text(line)
            return None
        if self._begun and self._in_list:
            self._blank = self._blank or self._size
        return self._size if self._begun and not self._in_list else None

    def _add_text(self, line: str) -> None:
        self._in_list = self._in_list or (not self._begun and _ITEM.match(line) is not None)
        mark = (_FENCE_IN_LIST if self._in_list else _FENCE).match(line)
        self._fence, self._begun = mark.group(1) if mark else None, True

    def _add_code(self, line: str, fence: str) -> int | None:
        mark = line.strip()
        if not mark.startswith(fence) or set(mark) != {fence[0]}:
            return None
        self._fence = None
        return None if self._in_list else self._size

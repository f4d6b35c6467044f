"""Markdown on a terminal as it streams: a block is shown when it is whole, so nothing flickers."""

from __future__ import annotations

import os
import re

from sdqctl.cli.output import terminal_width, write, write_painted
from sdqctl.model.terminal import harmless

_LONGEST = 64 * 1024
"""Characters of a block that are waited for."""
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


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
        console.print(Markdown(harmless(text), hyperlinks=False, code_theme="ansi_dark"))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _block_end(text: str) -> int | None:
    """Where the first whole block ends: at a blank line outside fences, or behind a fence."""
    fence: str | None = None
    position, begun = 0, False
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            return None
        position += len(line)
        mark = _FENCE.match(line)
        if fence is not None:
            if mark and mark.group(1).startswith(fence) and line.strip() == mark.group(1):
                return position
        elif mark:
            fence, begun = mark.group(1), True
        elif line.strip():
            begun = True
        elif begun:
            return position
    return None

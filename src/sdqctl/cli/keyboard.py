"""What is typed while the program is at work: not echoed into its output, and kept for later."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[O@-Z\\-_].?|.)?", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CHUNK = 4096


@contextmanager
def unechoed(*, by_line: bool = True) -> Iterator[None]:
    """Keep keys from being echoed. `by_line`: they stay for who reads the terminal next."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    import termios

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    quiet = [*before]
    quiet[3] = (before[3] & ~termios.ECHO) | termios.NOFLSH  # a Ctrl-C leaves what was typed
    if not by_line:
        quiet[3] &= ~termios.ICANON
        quiet[6] = [*before[6]]
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
    termios.tcsetattr(handle, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(handle, termios.TCSANOW, before)


class TypedAhead:
    """The text that was typed during turns, for the next message."""

    def __init__(self) -> None:
        self._text = ""

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Collect what is typed meanwhile."""
        with unechoed(by_line=False):
            try:
                yield
            finally:
                self.take()

    def take(self) -> None:
        """Take in what was typed so far, so that nobody else reads it."""
        self._text += read_pending()

    def line(self) -> str | None:
        """The first whole line, None when none was ended by Enter."""
        line, end, rest = self._text.partition("\n")
        if not end:
            return None
        self._text = rest
        return line

    def rest(self) -> str:
        """All that is left, as one text."""
        text, self._text = self._text, ""
        return text.rstrip("\n")


def read_pending() -> str:
    """What waits on the terminal, without keys that are no text; nothing where there is none."""
    if not sys.stdin or not sys.stdin.isatty():
        return ""
    handle, data = sys.stdin.fileno(), b""
    with suppress(OSError):
        while select.select([handle], [], [], 0)[0]:
            chunk = os.read(handle, _CHUNK)
            if not chunk:
                break
            data += chunk
    text = data.decode("utf-8", "replace").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))

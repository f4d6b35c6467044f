"""What is typed while the program is at work: not echoed into its output, and kept for later."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_KEY = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])|[^\x1b]", re.DOTALL)
"""One key, as a terminal sends it."""
_PASTE = {"\x1b[200~": True, "\x1b[201~": False}
_CHUNK = 4096


@contextmanager
def unechoed(*, by_line: bool = True) -> Iterator[None]:
    """Keep keys from being echoed. `by_line`: they stay for who reads the terminal next."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    import termios

    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] = (quiet[3] & ~termios.ECHO) | termios.NOFLSH  # a Ctrl-C leaves what was typed
    if not by_line:
        quiet[3] &= ~termios.ICANON
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
    with _as(quiet):
        yield


@contextmanager
def echoed() -> Iterator[None]:
    """Show what is typed to a question, though the run is `unechoed`. What was typed before the
    question is no answer to it.
    """
    import termios

    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    shown = termios.tcgetattr(sys.stdin)
    shown[3] |= termios.ECHO
    with _as(shown):
        yield


@contextmanager
def _as(attributes: list[Any]) -> Iterator[None]:
    """The terminal with other attributes (`termios.tcgetattr`) for a while, also after a Ctrl-Z,
    which gives it to the shell.
    """
    import termios

    before = termios.tcgetattr(sys.stdin)

    def take_terminal(*_: object) -> None:
        with suppress(OSError, termios.error):  # it has gone, or is another's
            if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
                termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)

    termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)
    resumed = signal.signal(signal.SIGCONT, take_terminal)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, resumed)
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


class TypedAhead:
    """What is typed during turns: messages that Enter ended, and the one that is begun.

    Backspace, Ctrl-U and Ctrl-W edit it as at a prompt; a paste of many lines is one message. A
    Ctrl-D on an empty line waits behind them. Other keys that are no text are passed over.
    """

    def __init__(self) -> None:
        self._ended: list[str] = []
        self._begun = ""
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._keys = ""
        """Keys of which the end has not come yet."""
        self._pasting = False
        self._leaves = False
        self.hears = True
        """Whether more can come; False once the terminal has gone, or where there is none."""

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
        keys = read_pending()
        self.hears = keys is not None
        if keys is None:
            return
        self._keys += self._decoder.decode(keys)
        while (found := _KEY.match(self._keys)) is not None:
            self._keys = self._keys[found.end() :]
            self._press(found.group())

    @property
    def shown(self) -> tuple[list[str], str]:
        """The messages that wait, and the one that is begun."""
        return self._ended, self._begun

    def line(self) -> str | None:
        """The first message that waits, None when none was ended by Enter."""
        return self._ended.pop(0) if self._ended else None

    def leaves(self) -> bool:
        """Whether a Ctrl-D came after the messages; asked again, no."""
        leaves, self._leaves = self._leaves, False
        return leaves

    def rest(self) -> str:
        """All that is left, as one text."""
        text = "\n".join([*self._ended, self._begun])
        self._ended, self._begun = [], ""
        return text.rstrip("\n")

    def _press(self, key: str) -> None:
        if key in _PASTE:
            self._pasting = _PASTE[key]
        elif key in "\r\n" and self._pasting:
            self._begun += "\n"
        elif key in "\r\n":
            self._ended.append(self._begun)
            self._begun = ""
        elif key in "\x08\x7f":
            self._begun = self._begun[:-1]
        elif key == "\x15":
            self._begun = ""
        elif key == "\x17":
            self._begun = self._begun.rstrip().rpartition(" ")[0]
            self._begun += " " * bool(self._begun)
        elif key == "\x04":
            self._leaves = not self._begun
        elif key == "\t" or key.isprintable():
            self._begun += key


def read_pending() -> bytes | None:
    """What waits on the terminal; None where there is none, or it has gone."""
    if not sys.stdin or not sys.stdin.isatty():
        return None
    handle, data = sys.stdin.fileno(), b""
    with suppress(OSError):
        while select.select([handle], [], [], 0)[0]:
            chunk = os.read(handle, _CHUNK)
            if not chunk:
                return None
            data += chunk
    return data

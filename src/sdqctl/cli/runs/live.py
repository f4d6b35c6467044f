"""Rows on the terminal below what is written, which change while something runs."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Protocol

from sdqctl.cli.output import can_draw, is_terminal, paint_note, set_live_line
from sdqctl.text.terminal import end_of, one_line

if TYPE_CHECKING:
    from sdqctl.cli.keyboard import TypedAhead
    from sdqctl.model.events import Event

_TICK = 0.25
_ERASE = "\r\x1b[J"
_HIDE, _SHOW = "\x1b[?25l\x1b[?2004h", "\x1b[?2004l\x1b[?25h"
"""The terminal's own cursor, and whether it marks what is pasted."""
_MARK = "» "
"""What stands before what is typed: it is sent later."""
_CURSOR = "\x1b[7m \x1b[0m"
_MOST_WAITING = 3


class LiveView(Protocol):
    """What the rows say."""

    def rows(self, columns: int, lines: int) -> list[str]:
        """At most so many rows of at most so many columns; none to show nothing now."""
        ...


class LiveArea:
    """Rows that are taken away before anything else is written, and come back after it.

    They stand only where the cursor is at the beginning of a line, so never within a line that is
    still being written. The cursor waits at the first of them: whatever a terminal makes of them
    when its size changes, all from the cursor on is theirs.
    """

    def __init__(self, view: LiveView, typed: TypedAhead | None = None) -> None:
        """`typed` is what the user types meanwhile, which is read here and shown below."""
        self._typed = typed
        self._woken, self._waker = os.pipe() if typed is not None else (-1, -1)
        self._lock = threading.RLock()
        self._view = view
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._shown = ""
        self._free = True
        self._writers = 0

    def start(self) -> None:
        """Begin to draw."""
        set_live_line(self)
        self._thread.start()

    def stop(self) -> None:
        """Take the rows away for good; nothing that is typed is read from here on."""
        self._ended.set()
        set_live_line(None)
        if self._typed is not None:
            os.close(self._waker)
            self._thread.join()
            os.close(self._woken)
        with self._lock:
            self._erase()
            if self._typed is not None:
                self._write(_SHOW)

    def changing(self) -> AbstractContextManager[object]:
        """What changes the view happens in here, never while it is looked at."""
        return self._lock

    def sink(self, note: Callable[[Event], None]) -> Callable[[Event], None]:
        """A sink that changes the view."""

        def emit(event: Event) -> None:
            with self._lock:
                note(event)

        return emit

    def before_write(self) -> None:
        """Something else is about to be written."""
        self._lock.acquire()
        self._writers += 1
        self._erase()

    def after_write(self, text: str) -> None:
        """It was; the rows come back after a whole line, and after the last of several writers that
        are at work within one another.
        """
        if text:
            self._free = text.endswith("\n")
        self._writers -= 1
        if not self._writers:
            self._draw()
        self._lock.release()

    def _tick(self) -> None:
        """Look again from time to time, and as soon as a key was pressed."""
        while not self._wait():
            with self._lock:
                if self._typed is not None:
                    self._typed.take()
                self._draw()

    def _wait(self) -> bool:
        """Wait for a while, or a key; returns whether it is over."""
        if self._typed is None or not self._typed.hears:
            return self._ended.wait(_TICK)
        select.select([sys.stdin.fileno(), self._woken], [], [], _TICK)
        return self._ended.is_set()

    def _draw(self) -> None:
        if not self._free or self._ended.is_set():
            return
        columns, lines = _size()
        below = [] if self._typed is None else _typed_rows(self._typed, max(columns - 1, 3))
        rows = self._view.rows(max(columns - 1, 1), max(lines - 1 - len(below), 1)) + below
        back = f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else ""
        frame = "\n".join(rows) + f"\r{back}" if rows else ""
        if frame != self._shown:
            hide = _HIDE if self._typed is not None and not self._shown else ""
            self._write(hide + _ERASE + frame)
            self._shown = frame

    def _erase(self) -> None:
        if self._shown:
            self._write(_ERASE)
            self._shown = ""

    def _write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _typed_rows(typed: TypedAhead, columns: int) -> list[str]:
    """The messages that wait, and the end of the one that is begun, with a cursor."""
    waiting, begun = typed.shown
    rows = [
        paint_note(one_line(f"{_MARK}{line}", columns), "dim") for line in waiting[-_MOST_WAITING:]
    ]
    tail = end_of(begun.replace("\n", "⏎"), columns - 3)
    return [*rows, f"{_MARK}{tail}{_CURSOR}"]


def wants_live_area() -> bool:
    """Whether stderr is a terminal that can take rows back."""
    return is_terminal(sys.stderr) and can_draw()


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal; 80 and 24 where it does not know its size, or says 0."""
    try:
        found = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return 80, 24
    return found.columns or 80, found.lines or 24

"""The real program in a pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

from tests.command import SDQCTL, source_of

LIMIT = 120.0
_TICK, _PATIENCE = 0.1, 5.0
ENTER = "\r"
CTRL_C, CTRL_D = "\x03", "\x04"
_TIMES = re.compile(r"\b\d+(\.\d+)?s\b|\b\d+m\d+s\b")


class Terminal:
    """A terminal of a size, with `sdqctl ARGUMENTS`, or a program, in it. Use it in a `with`."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        program: str | None = None,
        columns: int = 80,
        rows: int = 50,
        colours: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._screen = _Screen(columns, rows)
        self._text: str | None = None
        """What it shows, once that is asked for."""
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        variables = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"}
        for name in ("COLUMNS", "LINES"):  # of the terminal that the tests were started in
            variables.pop(name, None)
        if colours:
            del variables["NO_COLOR"]
        variables |= environment or {}
        self._master, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        source, is_alike = source_of(variables)
        self._child = source.start(
            [*([] if program or is_alike else SDQCTL[1:]), *map(str, arguments)],
            [theirs] * 3,
            os.getcwd(),
            variables,
            terminal=True,
            program=program or (None if is_alike else SDQCTL[0]),
        )
        os.close(theirs)
        self._screen.answer = self.type

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._master)
        if self._child.status(time.monotonic() + _PATIENCE) is None:
            self.kill(signal.SIGKILL)
            self._child.status(time.monotonic() + LIMIT)

    def type(self, text: str) -> None:
        """Send keys; `\udce9` is the byte E9, which is no UTF-8."""
        data = text.encode(errors="surrogateescape")
        while data:
            data = data[os.write(self._master, data) :]

    def kill(self, number: int) -> None:
        """Send a signal to the program."""
        os.kill(self._child.pid, number)

    def resize(self, columns: int, rows: int = 50) -> None:
        """Another size."""
        self._screen.resize(rows, columns)
        self._text = None
        termios.tcsetwinsize(self._master, (rows, columns))

    def wait_for(self, text: str) -> None:
        """Read until the screen shows a text."""
        deadline = time.monotonic() + LIMIT
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{self.text}"
            assert self._pump() or text in self.text, f"it ended without {text!r}:\n{self.text}"

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Read until something holds that the program does elsewhere."""
        deadline = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < deadline, f"it does not come to pass:\n{self.text}"
            assert self._pump() or holds(), f"it ended:\n{self.text}"

    def wait_for_prompt(self) -> None:
        """Read until the last line is the conversation's empty prompt."""
        deadline = time.monotonic() + LIMIT
        while self.text.rpartition("\n")[2] != ">":
            assert time.monotonic() < deadline, f"there is no prompt:\n{self.text}"
            assert self._pump(), f"it ended:\n{self.text}"

    def take_away(self) -> int:
        """Close the terminal while the program goes on; returns how it ended."""
        os.close(self._master)
        self._master, theirs = os.openpty()  # what is closed at the end
        os.close(theirs)
        status = self._child.status(time.monotonic() + LIMIT)
        assert status is not None, "it goes on without a terminal"
        return os.waitstatus_to_exitcode(status)

    def wait_for_end(self) -> int:
        """Read to the end; returns the exit code."""
        deadline = time.monotonic() + LIMIT
        while self._pump():
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        status = self._child.status(deadline)
        assert status is not None, f"it closed its terminal and does not end:\n{self.text}"
        return os.waitstatus_to_exitcode(status)

    @property
    def text(self) -> str:
        """What the screen shows, without blanks at the ends."""
        if self._text is None:
            lines = [line.rstrip() for line in self._screen.display]
            self._text = "\n".join(lines).rstrip("\n")
        return self._text

    @property
    def golden(self) -> str:
        """The same with times masked."""
        return _TIMES.sub("#s", self.text) + "\n"

    @property
    def cells(self) -> list[list[pyte.screens.Char]]:
        """The screen's characters with their colours, row by row to the last that has any."""
        used = range(len(self.text.splitlines()))
        columns = range(self._screen.columns)
        return [[self._screen.buffer[row][column] for column in columns] for row in used]

    def _pump(self) -> bool:
        """Take in what there is; False at the end."""
        if not select.select([self._master], [], [], _TICK)[0]:
            return True
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # nobody has the terminal any more
            return False
        self.raw += data
        self._text = None
        self._stream.feed(data)
        return True


class _Screen(pyte.Screen):
    """A screen that answers the program's questions, such as where the cursor is."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows)
        self.answer: object = None

    def write_process_input(self, data: str) -> None:
        """The terminal's answer."""
        if callable(self.answer):
            self.answer(data)

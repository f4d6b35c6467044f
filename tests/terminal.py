"""The real program in a pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pyte

from tests.command import SDQCTL

LIMIT = 120.0
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
    ) -> None:
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"}
        for name in ("COLUMNS", "LINES"):  # of the terminal that the tests were started in
            environment.pop(name, None)
        self._child = pexpect.spawn(
            program or SDQCTL[0],
            [*([] if program else SDQCTL[1:]), *map(str, arguments)],
            dimensions=(rows, columns),
            env=environment,
            timeout=LIMIT,
        )
        self._screen.answer = self._child.send

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close(force=True)

    def type(self, text: str) -> None:
        """Send keys."""
        self._child.send(text)

    def kill(self, number: int) -> None:
        """Send a signal to the program."""
        self._child.kill(number)

    def resize(self, columns: int, rows: int = 50) -> None:
        """Another size."""
        self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

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

    def is_quiet(self) -> bool:
        """Whether nothing more comes for a while; the program waits."""
        before = self.text
        for _ in range(5):
            self._pump()
        return self.text == before

    def wait_for_end(self) -> int:
        """Read to the end; returns the exit code."""
        deadline = time.monotonic() + LIMIT
        while self._pump():
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        self._child.close()
        code = self._child.exitstatus
        return int(code) if code is not None else -int(self._child.signalstatus)

    @property
    def text(self) -> str:
        """What the screen shows, without blanks at the ends."""
        lines = [line.rstrip() for line in self._screen.display]
        return "\n".join(lines).rstrip("\n")

    @property
    def golden(self) -> str:
        """The same with times masked."""
        return _TIMES.sub("#s", self.text) + "\n"

    def _pump(self) -> bool:
        """Take in what there is; False at the end."""
        try:
            data = self._child.read_nonblocking(65_536, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
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

"""How long a key takes to be seen in the conversation: at rest, and while an answer streams.

As a script it talks in the session `talk`, and writes one JSON object to a file: the seconds of
each key, under `rest` and `streaming`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.cases import Bench, Case

_SIZE = struct.pack("HHHH", 24, 80, 0, 0)
_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýþÿāăąćĉċčďđē"
"""What is typed: each once, and none is in the answer."""
_BETWEEN = 0.05
_LIMIT = 60.0
_ANSWER = "".join(f"- point {number} of the answer\n\n" for number in range(120))
_MESSAGE = f"\x1b[200~tell me [[pace: 0.01]] [[reply: {_ANSWER}]]\x1b[201~\r"


def typing(bench: Bench) -> Iterator[Case]:
    """A key in the input line of the conversation while an answer streams, and at rest."""
    from bench.cases import SDQCTL, Case
    from bench.measure import Command, Derived, time_all

    home = bench.new_home("keys")
    (home / "w.conv").write_text("SESSION-NAME talk\nPROMPT hello [[reply: hi]]\n")
    first = Command("first", bench.at(home, SDQCTL, "run", "w.conv"), cwd=home)
    time_all([first], 0, bench.environment)
    file = home / "keys.json"
    rounds: list[dict[str, list[float]]] = []
    script = [sys.executable, __file__, SDQCTL, str(file)]
    keys = Command(
        "keys",
        bench.at(home, *script),
        cwd=home,
        after=lambda: rounds.append(json.loads(file.read_text())),
    )
    yield Case(
        "a key while an answer streams",
        Derived("keys", partial(_milliseconds, rounds, "streaming"), "ms"),
        [
            Derived(
                "the same at rest",
                partial(_milliseconds, rounds, "rest"),
                "ms",
                "the prompt of the conversation, from the key to the letter on the terminal",
            )
        ],
        2.0,
        commands=[keys],
    )


def _milliseconds(rounds: Sequence[dict[str, list[float]]], which: str) -> list[float]:
    return [1000 * seconds for found in rounds for seconds in found[which]]


class Conversation:
    """`sdqctl resume talk` on a terminal of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self._pid, self._handle = pty.fork()
        if self._pid == 0:
            os.execvpe(command[0], [*command], {**os.environ, "TERM": "xterm-256color"})
        fcntl.ioctl(self._handle, termios.TIOCSWINSZ, _SIZE)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._handle, keys.encode())

    def wait_for(self, text: str) -> float:
        """Read until a text comes; returns the moment. A question where the cursor is is answered.

        Raises SystemExit when it does not come.
        """
        data, deadline = b"", time.perf_counter() + _LIMIT
        while time.perf_counter() < deadline:
            if not select.select([self._handle], [], [], 0.1)[0]:
                continue
            new = os.read(self._handle, 65_536)
            moment = time.perf_counter()
            data += new
            if b"\x1b[6n" in new:
                os.write(self._handle, b"\x1b[20;1R")
            if text.encode() in data:
                return moment
        raise SystemExit(f"{text!r} does not come: {data[-2000:]!r}")

    def seconds_for_keys(self) -> list[float]:
        """How long each of the letters takes to be seen."""
        found = []
        for letter in _LETTERS:
            time.sleep(_BETWEEN)
            self.drain()
            began = time.perf_counter()
            self.type(letter)
            found.append(self.wait_for(letter) - began)
        return found

    def close(self) -> None:
        """End the program."""
        os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)

    def drain(self) -> None:
        """Pass over what came until now."""
        while select.select([self._handle], [], [], 0)[0]:
            os.read(self._handle, 65_536)


def main() -> None:
    """Talk, and write what was measured; the arguments are the program and the file."""
    with closing(Conversation([sys.argv[1], "resume", "talk"])) as conversation:
        conversation.wait_for("leaves.")
        conversation.wait_for("\x1b[0m>")
        rest = conversation.seconds_for_keys()
        conversation.type("\x15")  # the line is empty again
        conversation.type(_MESSAGE)
        conversation.wait_for("writing, ")
        streaming = conversation.seconds_for_keys()
    found = {"rest": rest, "streaming": streaming}
    Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()

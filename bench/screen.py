"""The screen of all sessions: how long until it is painted, and until a key is answered.

As a script it opens the screen on a terminal of its own, and writes one JSON object to a file: the
seconds to the first paint, and those of each key.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.keys import Conversation

if TYPE_CHECKING:
    from bench.cases import Bench, Case
    from bench.measure import Command

_KEYS, _BETWEEN = 30, 0.1
_RUNS = 10
_DOWN = "\x1b[B"
_WORKFLOW = "REPEAT MAX 1000\n  PROMPT go on [[delay: 0.3]] [[reply: a line of an answer]]\nEND\n"


def screen(bench: Bench) -> Iterator[Case]:
    """The first paint at 1,000 sessions, and a key at 5,000 while ten runs go on."""
    from bench.cases import Case
    from bench.measure import Command, Derived

    painted = _screens(bench, "painted", bench.sized(1000, 100), runs=0)
    imported = [sys.executable, "-c", "import textual.app, textual.widgets"]
    yardstick = Command(
        "import textual", imported, note="starts Python and imports the library; paints nothing"
    )
    paint = Derived("first paint", partial(_of, painted[1], "paint"))
    yield Case(
        f"ui, first paint, {bench.sized(1000, 100)} sessions",
        paint,
        [yardstick],
        2.0,
        commands=[painted[0], yardstick],
    )
    few = _screens(bench, "few", 10, runs=0)
    many = _screens(bench, "many", bench.sized(5000, 200), runs=_RUNS)
    keys = Derived("keys", partial(_of, many[1], "keys"), "ms")
    still = Derived("10 sessions, no run", partial(_of, few[1], "keys"), "ms", "the same screen")
    name = f"ui, a key, {bench.sized(5000, 200)} sessions, {_RUNS} runs going on"
    yield Case(name, keys, [still], 2.0, commands=[many[0], few[0]])


def _screens(
    bench: Bench, name: str, sessions: int, *, runs: int
) -> tuple[Command, list[dict[str, list[float]]]]:
    """The screen at work in a home with so many sessions, and what was measured each time."""
    from bench.cases import SDQCTL, make_sessions
    from bench.measure import Command

    home = bench.new_home(f"ui-{name}")
    make_sessions(home / "copilot", sessions, 1)
    (home / "w.conv").write_text(_WORKFLOW)
    file = home / "found.json"
    found: list[dict[str, list[float]]] = []
    script = [sys.executable, __file__, SDQCTL, str(file), str(sessions), str(runs)]
    command = Command(
        name,
        bench.at(home, *script),
        cwd=home,
        after=lambda: found.append(json.loads(file.read_text())),
    )
    return command, found


def _of(rounds: list[dict[str, list[float]]], which: str) -> list[float]:
    factor = 1 if which == "paint" else 1000
    return [factor * seconds for found in rounds for seconds in found[which]]


def main() -> None:
    """Measure; the arguments are the program, the file, and how many sessions and runs."""
    program, file, sessions, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    names = [f"run-{os.getpid()}-{number}" for number in range(int(runs))]
    begin = ["run", "w.conv", "-a", "mock", "--detach", "-q", "--session-name"]
    for name in names:
        os.spawnvp(os.P_WAIT, program, [program, *begin, name])
    begun = ExitStack()
    try:
        began = time.perf_counter()
        shown = begun.enter_context(closing(Conversation([program, "ui"])))
        first = f"RECENT {sessions}" if names else f"s-{sessions - 1:05d}"
        paint = shown.wait_for(first) - began
        for _ in range(int(runs) + 1):
            time.sleep(_BETWEEN)
            shown.type(_DOWN)
        keys = []
        for number in range(sessions - 3, max(sessions - 3 - _KEYS, 0), -1):
            time.sleep(_BETWEEN)
            shown.drain()
            at = time.perf_counter()
            shown.type(_DOWN)
            keys.append(shown.wait_for(f"s-{number:05d}") - at)
    finally:
        begun.close()
        for name in names:
            os.spawnvp(os.P_WAIT, program, [program, "sessions", "interrupt", name])
        if names:  # else they need somebody at the top of the next round's screen
            os.spawnvp(os.P_WAIT, program, [program, "sessions", "delete", "--force", *names])
    file.write_text(json.dumps({"paint": [paint], "keys": keys}))


if __name__ == "__main__":
    main()

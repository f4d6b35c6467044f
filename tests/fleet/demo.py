"""`make fleet-demo`: three workers do twelve components, one of them is killed, and the others go
on with what it had begun. All in a temporary folder, with an embedded Postgres and the mock.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.command import Running
from tests.fleet.machines import Fleet
from tests.fleet.postgres import new_database, served

_STORY = """\
SESSION-NAME demo-{{COMPONENT_NAME}}
MODE implement
ALLOW-SHELL true
PROMPT read {{COMPONENT_NAME}} [[delay: 1]] [[reply: read]]
RUN echo {{COMPONENT_NAME}} >> done.txt
PROMPT change it [[delay: 1]] [[reply: changed]]
PROMPT look at it again [[delay: 1]] [[reply: good]]
"""
_STEPS = 4
_COMPONENTS, _DIES_AFTER = 12, 3
_TAKE_OVER = 4
_RUNS = """
    SELECT r.label, r.status, coalesce(r.worker, ''), r.attempts, coalesce((SELECT
        (t.view::json->'run'->>'steps_done')::int FROM sdqctl.states AS t JOIN sdqctl.sessions AS s
        ON s.number = t.session WHERE s.known_by = r.known_by ORDER BY t.number DESC LIMIT 1), 0)
    FROM sdqctl.runs AS r ORDER BY r.number
"""


def main() -> int:
    """Show it; 1 when something is missing at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print("starting a Postgres ...", flush=True)
        server = stack.enter_context(served(folder / "postgres"))
        (folder / "fleet").mkdir()
        os.environ["SDQCTL_ADAPTER"] = "mock"
        demo = Demo(Fleet(folder / "fleet", new_database(server)))
        stack.callback(demo.end)
        return demo.go()


class Demo:
    """The machines, and what is shown of them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._workers: dict[str, Running] = {}
        self._begun = time.monotonic()
        self._seen: dict[str, tuple[str, str]] = {}
        self._dead: str | None = None

    def go(self) -> int:
        """Put the runs in, have workers do them, kill one, and look at the end."""
        names = [f"part-{number:02}" for number in range(1, _COMPONENTS + 1)]
        story = self._fleet.write(_STORY)
        components = self._fleet.write("".join(f"{name}\n" for name in names), "parts.txt")
        home = self._fleet.machine("home")
        print("$ sdqctl apply work.conv --components @parts.txt --queue")
        sys.stdout.write(home.run("apply", story, "--components", f"@{components}", "--queue").err)
        for name in ("one", "two", "three"):
            clone = f"{self._fleet.origin}={self._fleet.machine(name).clone}"
            how = ("--mode", "implement", "--take-over", f"{_TAKE_OVER}s", "--repository", clone)
            self._workers[name] = self._fleet.machine(name).start("worker", *how)
            print(f"$ sdqctl worker --mode implement --take-over {_TAKE_OVER}s    # machine {name}")
        self._begun = time.monotonic()
        while self._look() < _COMPONENTS:
            time.sleep(0.1)
        print("$ sdqctl queue status")
        sys.stdout.write(home.run("queue", "status").out)
        return self._check(names)

    def end(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.kill()
            worker.wait()

    def _look(self) -> int:
        """Tell what changed, and kill a worker when its time has come; how many are completed."""
        pids = {str(worker.pid): name for name, worker in self._workers.items()}
        completed, busy = 0, [(0, "")]
        for label, status, worker, *numbers in self._fleet.asked(_RUNS):
            where = pids.get(str(worker).rpartition(":")[2], "?")
            attempts, done = (int(str(number)) for number in numbers)
            if self._seen.get(str(label)) != (str(status), where):
                self._seen[str(label)] = (str(status), where)
                self._tell(str(label), str(status), where, attempts, done)
            completed += status == "completed"
            busy += [(done, where)] if status == "running" else []
        done, where = max(busy)
        if self._dead is None and completed >= _DIES_AFTER and done > 1:
            self._kill(where)
        return completed

    def _kill(self, name: str) -> None:
        self._dead = name
        self._workers[name].send_signal(signal.SIGKILL)
        self._workers[name].wait()
        self._say(f"*** machine {name} dies (kill -9); in {_TAKE_OVER} s it counts as gone")

    def _tell(self, label: str, status: str, where: str, attempts: int, done: int) -> None:
        text = f"{label}  {status} on machine {where}"
        if status == "queued":
            if attempts == 0:
                return
            text = f"{label}  of machine {self._dead} is put in again"
        elif status == "running" and attempts > 1:
            text += f": taken over, {done} of {_STEPS} steps are done"
        self._say(text)

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:5.1f} s  {text}", flush=True)

    def _check(self, names: list[str]) -> int:
        home, wrong = self._fleet.machine("home"), 0
        for name in names:
            session = f"demo-{name}"
            home.run("sessions", "pull", session)
            lines = (home.tree(session) / "done.txt").read_text().splitlines()
            wrong += (home.answers(session), lines) != (["read", "changed", "good"], [name])
        print(f"{len(names) - wrong} of {len(names)} have each answer and each line once")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Many runs on the mock over many workers, one of which is killed every few seconds: none may be
lost and none done twice. `make fleet-load N=2000`; the throughput is told as a share of that of the
engine's own empty jobs in the same run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command import Running
from tests.fleet.machines import OVERLAPS, PATIENCE, Fleet
from tests.fleet.postgres import new_database, served

_STORY = """\
SESSION-NAME run-{{{{COMPONENT_NAME}}}}
MODE implement
ALLOW-SHELL true
PROMPT look at {{{{COMPONENT_NAME}}}} [[reply: A]]
RUN echo {{{{COMPONENT_NAME}}}} | tee -a done.txt >> {log}
PROMPT go on [[reply: B]]
"""
_STEPS, _TURNS = 3, 2
_TAKE_OVER = "4s"
_PULLED = 50
"""Sessions that are brought home at the end, to look at talk and tree."""
_WHOLE = """
    SELECT count(*) FROM sdqctl.runs AS r JOIN sdqctl.sessions AS s USING (adapter, known_by)
    JOIN LATERAL (
        SELECT view::json AS view FROM sdqctl.states WHERE session = s.number
        ORDER BY number DESC LIMIT 1
    ) AS t ON true
    WHERE r.status = 'completed' AND (t.view->>'turns')::int = {turns}
        AND t.view->'run'->>'status' = 'completed' AND (t.view->'run'->>'steps_done')::int = {steps}
"""


def main() -> int:
    """Do it, print figures; 1 when something was lost, or done twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "postgres") as server:
        folder = Path(name) / "fleet"
        folder.mkdir()
        os.environ["SDQCTL_ADAPTER"] = "mock"
        empty = [_empty_jobs(new_database(server), options)]
        load = Load(Fleet(folder, new_database(server)), options)
        wrong = load.go()
        empty.append(_empty_jobs(new_database(server), options))
        rate = options.runs / load.seconds
        print(f"empty jobs of the engine: {empty[0]:.1f} a second before, {empty[1]:.1f} after")
        print(f"ratio: {rate / (sum(empty) / 2):.4f}")
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


class Load:
    """The runs, and the workers that do them."""

    def __init__(self, fleet: Fleet, options: argparse.Namespace) -> None:
        self.fleet = fleet
        self.runs: int = options.runs
        self._options = options
        self._rng = random.Random(options.seed)
        self._log = fleet.folder / "log"
        self.seconds = 0.0
        self.kills = 0

    def go(self) -> list[str]:
        """Put the runs in, have them done, and look; returns what is wrong."""
        names = [f"c{number}" for number in range(self.runs)]
        story = self.fleet.write(_STORY.format(log=self._log))
        self.fleet.write("".join(f"{name}\n" for name in names), "names")
        begun = time.monotonic()
        components = f"@{self.fleet.folder / 'names'}"
        self.fleet.machine("home").run("apply", story, "--components", components, "--queue")
        print(f"{self.runs} put in within {time.monotonic() - begun:.1f} s", flush=True)
        begun = time.monotonic()
        with self._workers() as workers:
            self._drive(workers)
            self.seconds = time.monotonic() - begun
        rate = self.runs / self.seconds
        print(
            f"{self.runs} runs of {_STEPS} steps over {self._options.workers} workers in "
            f"{self.seconds:.1f} s: {rate:.2f} a second, {self.kills} kills",
            flush=True,
        )
        return self._looked_at(names)

    def _begin(self, name: str) -> Running:
        machine = self.fleet.machine(name)
        clone = f"{self.fleet.origin}={machine.clone}"
        how = ("--mode", "implement", "--take-over", _TAKE_OVER, "--sandbox", "none")
        parallel = ("--parallel", str(self._options.parallel))
        return machine.start("worker", *how, *parallel, "--repository", clone)

    @contextmanager
    def _workers(self) -> Iterator[dict[str, Running]]:
        workers = {f"w{n}": self._begin(f"w{n}") for n in range(self._options.workers)}
        try:
            yield workers
            for one in workers.values():
                one.send_signal(signal.SIGTERM)
            for one in workers.values():
                one.wait(PATIENCE)
        finally:
            for one in workers.values():
                one.kill()
                one.wait()

    def _drive(self, workers: dict[str, Running]) -> None:
        """Kill one, now and then, until all is done."""
        while self._left():
            until = time.monotonic() + self._options.every
            while time.monotonic() < until and self._left():
                time.sleep(0.5)
            name = self._rng.choice(sorted(workers))
            if self._left():
                workers[name].kill()
                workers[name].wait()
                workers[name] = self._begin(name)
                self.kills += 1
            if self.kills % 10 == 0:
                print(f"  {self._left()} left after {self.kills} kills", flush=True)

    def _left(self) -> int:
        return self._count("SELECT count(*) FROM sdqctl.runs WHERE status IN ('queued', 'running')")

    def _count(self, query: str) -> int:
        return int(str(self.fleet.asked(query)[0][0]))

    def _looked_at(self, names: list[str]) -> list[str]:
        """Look whether each run is whole and none was done by two at once."""
        lines = Counter(self._log.read_text().split())
        again = sum(lines.values()) - len(lines)
        attempts = self._count("SELECT sum(attempts) FROM sdqctl.runs")
        size, sent = self.fleet.asked(
            "SELECT avg(size)::int, (SELECT sum(length(data)) FROM sdqctl.pieces) / count(*) "
            "FROM sdqctl.states"
        )[0]
        print(
            f"{attempts} attempts; a command that was in flight was done anew {again} times; "
            f"a state has {size} bytes, {sent} of its own in the store"
        )
        counts = self.fleet.asked("SELECT status, count(*) FROM sdqctl.runs GROUP BY 1")
        wrong = [
            f"{number} runs are {status}" for status, number in counts if status != "completed"
        ]
        checks: list[tuple[str, int, Callable[[], int]]] = [
            ("runs", self.runs, lambda: self._count("SELECT count(*) FROM sdqctl.runs")),
            (
                "whole sessions",
                self.runs,
                lambda: self._count(_WHOLE.format(turns=_TURNS, steps=_STEPS)),
            ),
            ("runs whose command ran", self.runs, lambda: len(lines)),
            ("attempts at once", 0, lambda: self._count(OVERLAPS)),
        ]
        wrong += [f"{found} {what}, not {n}" for what, n, ask in checks if (found := ask()) != n]
        if again > self.kills * self._options.parallel:
            wrong.append(f"{again} commands were done again, after {self.kills} kills")
        return wrong + self._pulled(names)

    def _pulled(self, names: list[str]) -> list[str]:
        home, wrong = self.fleet.machine("home"), []
        for name in self._rng.sample(names, min(_PULLED, len(names))):
            session = f"run-{name}"
            home.run("sessions", "pull", session)
            found = (home.answers(session), (home.tree(session) / "done.txt").read_text())
            if found != (["A", "B"], f"{name}\n"):
                wrong.append(f"{session} has {found}")
        return wrong


def _empty_jobs(address: str, options: argparse.Namespace) -> float:
    """How many empty jobs a second as many workers of the engine alone do."""
    command = [sys.executable, "-m", "tests.fleet.empty_jobs", address]
    subprocess.run([*command, "defer", str(options.runs)], check=True)
    workers = [
        subprocess.Popen([*command, "work", str(options.parallel)]) for _ in range(options.workers)
    ]
    try:
        for one in workers:
            if one.wait(600):
                raise SystemExit("the engine's own worker failed")
    finally:
        for one in workers:
            one.kill()
            one.wait()
    done = subprocess.run([*command, "rate"], check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main())

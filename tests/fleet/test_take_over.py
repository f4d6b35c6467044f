"""Workers that are killed and frozen over the real runtime: no step is lost, none done twice."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Running
from tests.fleet.machines import OVERLAPS, PATIENCE, Fleet, Machine

pytestmark = [pytest.mark.runtime, pytest.mark.crash]

KILLS = 2
WORKERS = 3
_TAKE_OVER = "4s"
_WAIT = 300.0
_FROZEN = 3
"""Workers that are frozen at a time; the first ones wake while others work."""


def prompt(number: int) -> str:
    """A prompt that takes a while and adds a line to a file."""
    add = f'{{"command": "echo {number} >> lines.txt", "description": "add"}}'
    return f"PROMPT step-{number} [[sleep: 0.3]] [[tool: bash {add}]] [[reply: {number}]]\n"


@dataclass
class Crew:
    """Workers, each on a machine of its own, and what is done to them."""

    fleet: Fleet
    rng: random.Random
    running: dict[str, Running] = field(default_factory=dict)
    frozen: list[Running] = field(default_factory=list)
    thawed: list[Running] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Of the machines that come in the place of frozen ones."""

    def machine(self, name: str) -> Machine:
        """A machine of a worker."""
        return self.fleet.machine(name)

    def begin(self, name: str) -> None:
        """Have a worker on a machine."""
        machine = self.machine(name)
        clone = f"{self.fleet.origin}={machine.clone}"
        how = ("--mode", "implement", "--take-over", _TAKE_OVER)
        self.running[name] = machine.start("worker", *how, "--repository", clone)

    def hit(self, number: signal.Signals) -> None:
        """Kill or freeze one that has a run, and have another one in its place."""
        busy = [row[0] for row in self.fleet.asked(_BUSY)]
        pids = {str(one.pid): name for name, one in self.running.items()}
        found = sorted(pids[pid] for pid in map(str, busy) if pid in pids)
        name = self.rng.choice(found or sorted(self.running))
        running = self.running.pop(name)
        running.send_signal(number)
        if number is signal.SIGSTOP:
            self.thaw(_FROZEN)
            self.frozen.append(running)
            name = f"m{next(self.numbers)}"
        else:
            running.wait()
        self.begin(name)

    def thaw(self, kept: int = 0) -> None:
        """Let those go on that were frozen first, and end those that went on before."""
        for running in self.thawed:
            running.send_signal(signal.SIGTERM)
            assert running.wait(PATIENCE) == 0
        self.thawed = []
        while len(self.frozen) > kept:
            self.thawed.append(self.frozen.pop(0))
            self.thawed[-1].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End all."""
        for running in (*self.running.values(), *self.frozen, *self.thawed):
            running.kill()
            running.wait()


_BUSY = (
    "SELECT split_part(worker, ':', 2) FROM sdqctl.runs WHERE status = 'running' "
    "AND worker IS NOT NULL"
)
_OPEN = "SELECT count(*) FROM sdqctl.runs WHERE status <> 'completed'"
_PUBLISHED = (
    "SELECT coalesce(sum(number), 0) FROM ("
    "SELECT max(number) AS number FROM sdqctl.states GROUP BY session) AS s"
)


@contextmanager
def crew(fleet: Fleet, seed: int) -> Iterator[Crew]:
    """Workers that are gone at the end."""
    workers = Crew(fleet, random.Random(seed))
    with ExitStack() as stack:
        stack.callback(workers.end)
        for number in range(WORKERS):
            workers.begin(f"w{number}")
        yield workers


def value(fleet: Fleet, query: str) -> int:
    """The one number that a query answers."""
    return int(str(fleet.asked(query)[0][0]))


@pytest.mark.thorough
def test_killed_and_frozen_workers_lose_no_step_and_repeat_none(
    fleet: Fleet,
    model: LoopbackModel,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    monkeypatch.delenv("SDQCTL_ADAPTER")
    wanted, chosen = pytestconfig.getoption("--kills"), pytestconfig.getoption("--crash-seed")
    kills = wanted or KILLS
    components, prompts = (12, 6) if wanted else (3, 3)
    seed = chosen if chosen is not None else (int(time.time()) if wanted else 7)
    print(f"seed {seed}")
    names = [f"c{number}" for number in range(components)]
    texts = "".join(map(prompt, range(1, prompts + 1)))
    story = fleet.write(f"SESSION-NAME run-{{{{COMPONENT_NAME}}}}\nMODE implement\n{texts}")
    fleet.write("".join(f"{name}\n" for name in names), "names")
    at_home = fleet.machine("home")
    batch = ("apply", story, "--components", f"@{fleet.folder / 'names'}", "--queue")
    at_home.run(*batch)
    every = max(1, components * prompts // (kills + 1))
    with crew(fleet, seed) as workers:
        for hit in range(kills):
            mark = min(value(fleet, _PUBLISHED) + every, components * prompts)
            until(partial(_is_there, fleet, mark))
            workers.hit((signal.SIGKILL, signal.SIGSTOP)[hit % 2])
        until(lambda: value(fleet, _OPEN) == 0)
        workers.thaw()
        check(fleet, names, prompts)
        workers.thaw()
    assert value(fleet, OVERLAPS) == 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the database tells."""
    deadline = time.monotonic() + _WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def _is_there(fleet: Fleet, mark: int) -> bool:
    return value(fleet, _PUBLISHED) >= mark or value(fleet, _OPEN) == 0


def check(fleet: Fleet, names: list[str], prompts: int) -> None:
    """Each component's talk and tree are complete, each line once."""
    home, expected = fleet.machine("home"), [str(number) for number in range(1, prompts + 1)]
    for name in names:
        home.run("sessions", "pull", f"run-{name}")
        assert home.answers(f"run-{name}") == expected, name
    trees = home.folder / "home" / "sdqctl" / "worktrees"
    lines = [path.read_text().splitlines() for path in trees.glob("*/*/lines.txt")]
    assert lines == [expected] * len(names)

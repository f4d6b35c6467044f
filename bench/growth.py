"""What one more costs, and whether the last costs more than the first."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from bench.cases import SDQCTL, WORDS, Bench, Case, sdk_prompts
from bench.measure import Command, Derived

ENDS = 100
"""So many steps at either end are compared."""


SIDE_BY_SIDE = "FOR x IN range({}) | list PARALLEL 8\nCALL part.conv WITH n={{{{x}}}}\nEND\n"
FEW = 10
LEAST = 2.0
"""Megabytes below which memory that grew is noise."""


@dataclass(frozen=True)
class Flow:
    """A workflow whose blocks unfold to so many."""

    what: str
    text: str
    number: int

    def command(self, bench: Bench, number: int) -> Command:
        """A run that unfolds to that number."""
        home = bench.new_home(f"growing-{self.what.replace(' ', '-')}-{number}")
        workflow = home / "w.conv"
        workflow.write_text(self.text.format(number))
        (home / "part.conv").write_text("INPUT n int\nPROMPT {{n}} [[reply: done]]\n")
        bounds = ("--max-steps", str(10 * number))
        command = bench.at(home, SDQCTL, "run", str(workflow), "-a", "mock", "-q", *bounds)
        return Command(f"{number}", command, bench.new_session, home)


@dataclass
class Ends:
    """The mean seconds of the first and of the last steps of each round."""

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    def add(self, seconds: Sequence[float]) -> None:
        """Take in one round; its first step starts up and is left out."""
        number = min(ENDS, len(seconds) // 4)
        self.first.append(statistics.mean(seconds[1 : number + 1]))
        self.last.append(statistics.mean(seconds[-number:]))

    def ratios(self) -> list[float]:
        """How much more the last cost than the first."""
        return [last / first for first, last in zip(self.first, self.last, strict=True)]


def growth(bench: Bench) -> Iterator[Case]:
    """One more prompt, and long runs."""
    yield _further_prompt(bench)
    yield _long_mock_run(bench, "PROMPT {} [[reply: done]]\n", "prompts")
    yield _long_mock_run(bench, "RUN true {}\n", "RUN steps")
    yield _long_loop(bench, "REPEAT MAX {}\nCHECKPOINT\nEND\n", "rounds", bench.sized(1000, 100))
    items = "FOR x IN range({}) | list\nCHECKPOINT\nEND\n"
    yield _long_loop(bench, items, "items", bench.sized(5000, 100))
    yield _many_components(bench)
    for flow in (
        Flow("rounds of a loop", "REPEAT MAX {}\nCHECKPOINT\nEND\n", bench.sized(1000, 100)),
        Flow("items of a list", items, bench.sized(5000, 100)),
        Flow("items side by side", SIDE_BY_SIDE, bench.sized(400, 20)),
        Flow("items side by side", SIDE_BY_SIDE, bench.sized(800, 40)),
    ):
        yield _time_of_twice_as_many(bench, flow)
        yield _memory_of_twice_as_many(bench, flow)
    yield _long_run(bench)


def _further_prompt(bench: Bench) -> Case:
    few, many = 10, bench.sized(110, 30)
    home = bench.new_home("further")
    ours, bare = [], []
    for number in (few, many):
        workflow = home / f"w{number}.conv"
        workflow.write_text("".join(f"PROMPT {n} {WORDS}\n" for n in range(number)))
        command = bench.at(home, SDQCTL, "run", str(workflow))
        ours.append(Command("run", command, bench.new_session, home))
        bare.append(sdk_prompts(bench, home, 1, number, 1, WORDS))
    return Case(
        "a further prompt",
        slope("run", ours, many - few),
        [slope("bare SDK script", bare, many - few)],
        1.10,
        commands=[*ours, *bare],
    )


def slope(name: str, commands: Sequence[Command], more: int, note: str = "") -> Derived:
    """What one more costs: of two commands the second does `more` than the first."""
    few, many = commands
    return Derived(
        name,
        lambda: [(m - f) / more for f, m in zip(few.seconds, many.seconds, strict=True)],
        note=note or commands[0].note,
    )


def _long_mock_run(bench: Bench, text: str, what: str) -> Case:
    steps = bench.sized(2000, 100)
    home = bench.new_home(f"long-mock-{what}")
    workflow = home / "w.conv"
    workflow.write_text("".join(text.format(n) for n in range(steps)))
    command = bench.at(home, SDQCTL, "run", str(workflow), "-a", "mock", "-q")
    ends = Ends()
    ours = Command(
        "run",
        command,
        bench.new_session,
        home,
        after=lambda: ends.add(step_seconds(home / "sdqctl")),
    )
    return _ends_case(f"{steps} {what} on the mock", ours, ends)


def _long_loop(bench: Bench, text: str, what: str, number: int) -> Case:
    """A loop of steps that do nothing: what it costs that a plan unfolds."""
    home = bench.new_home(f"long-loop-{what}")
    workflow = home / "w.conv"
    workflow.write_text(text.format(number))
    bounds = ("--max-steps", str(number))
    command = bench.at(home, SDQCTL, "run", str(workflow), "-a", "mock", "-q", *bounds)
    ends = Ends()
    ours = Command(
        "run",
        command,
        bench.new_session,
        home,
        after=lambda: ends.add(step_seconds(home / "sdqctl")),
    )
    return _ends_case(f"{number} {what} of a loop on the mock", ours, ends)


def _time_of_twice_as_many(bench: Bench, flow: Flow) -> Case:
    half, whole = (flow.command(bench, number) for number in (flow.number // 2, flow.number))
    twice = Derived("half as many, twice", lambda: [2 * seconds for seconds in half.seconds])
    return Case(
        f"{flow.number} {flow.what} on the mock: time",
        Derived("run", lambda: whole.seconds),
        [twice],
        1.2,
        warm_up=False,
        commands=[half, whole],
        rounds=3,
    )


def _memory_of_twice_as_many(bench: Bench, flow: Flow) -> Case:
    """What is taken beside that of a run that unfolds to a few."""
    sizes = (FEW, flow.number // 2, flow.number)
    few, half, whole = (flow.command(bench, number) for number in sizes)

    def grown(by: Command, times: int) -> list[float]:
        pairs = zip(few.own_memory, by.own_memory, strict=True)
        return [times * max(LEAST, (more - base) / 2**20) for base, more in pairs]

    return Case(
        f"{flow.number} {flow.what} on the mock: memory",
        Derived("run", lambda: grown(whole, 1), "MB"),
        [Derived("half as many, twice", lambda: grown(half, 2), "MB")],
        1.2,
        warm_up=False,
        commands=[few, half, whole],
        rounds=1,
    )


def _many_components(bench: Bench) -> Case:
    total = bench.sized(2000, 100)
    home = bench.new_home("many-components")
    (home / "names.txt").write_text("".join(f"part-{n}\n" for n in range(total)))
    workflow = home / "w.conv"
    workflow.write_text("PROMPT {{COMPONENT_NAME}} [[reply: done]]\n")
    ends = Ends()
    ours = Command(
        "apply",
        bench.at(home, SDQCTL, "apply", str(workflow), "-a", "mock", "-q"),
        lambda: (
            *("--components", f"@{home / 'names.txt'}"),
            *("--session-name", f"{{{{COMPONENT_NAME}}}}-{next(bench.numbers)}"),
        ),
        home,
        after=lambda: ends.add(step_seconds(home / "sdqctl", last=total)),
    )
    return _ends_case(f"{total} components on the mock", ours, ends)


def _ends_case(name: str, ours: Command, ends: Ends) -> Case:
    note = "of the same run, but for its very first"
    return Case(
        f"{name}: one of the last {ENDS}",
        Derived("last", lambda: ends.last),
        [Derived(f"one of its first {ENDS}", lambda: ends.first, note=note)],
        1.2,
        warm_up=False,
        commands=[ours],
        rounds=3,
    )


def _long_run(bench: Bench) -> Case:
    """The runtime's own growth is measured beside ours: what is bounded is ours over it."""
    steps = bench.sized(500, 40)
    home = bench.new_home("long-run")
    workflow, file = home / "w.conv", home / "seconds.txt"
    workflow.write_text("".join(f"PROMPT {n} {WORDS}\n" for n in range(steps)))
    ours, theirs = Ends(), Ends()
    run = Command(
        "run",
        bench.at(home, SDQCTL, "run", str(workflow), "-q"),
        bench.new_session,
        home,
        after=lambda: ours.add(step_seconds(home / "sdqctl")),
    )
    bare = sdk_prompts(bench, home, 1, steps, 1, WORDS)
    bare.arguments = [*bare.arguments, str(file)]
    bare.after = lambda: theirs.add([float(line) for line in file.read_text().splitlines()])
    growth = "growth of the bare SDK script"
    return Case(
        f"{steps} prompts: last {ENDS} over first {ENDS}",
        Derived("run", ours.ratios, "x"),
        [Derived(growth, theirs.ratios, "x", "the same ratio of its own prompts; see above")],
        1.2,
        warm_up=False,
        commands=[run, bare],
        rounds=3,
    )


def step_seconds(home: Path, last: int | None = None) -> list[float]:
    """The seconds between the ends of the steps of the newest run, or of the last steps of all."""
    connection = sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True)
    try:
        wanted = "1" if last else "run_id = (SELECT run_id FROM attempts ORDER BY number DESC)"
        rows = connection.execute(
            f"SELECT completed_at FROM attempts WHERE {wanted} ORDER BY number DESC LIMIT ?",
            (last or -1,),
        ).fetchall()
    finally:
        connection.close()
    moments = [datetime.fromisoformat(row[0]) for row in reversed(rows)]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]

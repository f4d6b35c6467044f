"""What it costs to publish a session: of a step, and where the talk is long."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fleet.postgres import new_database, served

from bench.cases import SDQCTL, WORDS, Bench, Case
from bench.growth import slope
from bench.measure import Command

FEW = 5
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PROMPT = 25_000
"""Characters of a prompt of the long talk."""
_PAUSED = 8


def fleet(bench: Bench) -> Iterator[Case]:
    """Runs with and without a store, on a Postgres of this machine."""
    with served(bench.new_home("postgres-of-fleet")) as server:
        yield _published_step(bench, new_database(server))
        yield _long_talk(bench, new_database(server))


def _published_step(bench: Bench, store: str) -> Case:
    many = bench.sized(45, 15)
    commands = [
        _further(bench, number, more)
        for more in ((f"--store={store}",), ())
        for number in (FEW, many)
    ]
    ours, bare = commands[:2], commands[2:]
    note = "the same without a store: an agent that answers at once, and the ledger"
    return Case(
        "a further prompt on the mock that is published",
        slope("published", ours, many - FEW),
        [slope("not published", bare, many - FEW, note)],
        commands=commands,
    )


def _further(bench: Bench, number: int, more: Sequence[str]) -> Command:
    """So many prompts of a run that paused before them."""
    home = bench.new_home(f"published-{number}-{len(more)}")
    workflow = home / "w.conv"
    first = f"PROMPT first {WORDS}\nPAUSE\n"
    workflow.write_text(first + "".join(f"PROMPT {n} {WORDS}\n" for n in range(number)))

    def prepare() -> Sequence[str]:
        name = bench.new_session()[1]
        command = bench.at(
            home, SDQCTL, "run", str(workflow), "-q", "-a", "mock", "--session-name", name
        )
        done = subprocess.run(command, cwd=home, env=bench.environment, capture_output=True)
        assert done.returncode == _PAUSED, done.stderr
        return (name,)

    command = bench.at(home, SDQCTL, "resume", "--continue", "-q", *more)
    return Command(f"{number}", command, prepare, home)


def _long_talk(bench: Bench, store: str) -> Case:
    """A prompt to a session on the mock whose talk is long: published before and after it."""
    megabytes = bench.sized(5, 1)
    home = bench.new_home("long-talk")
    for part in range(megabytes):
        file = _talk(home, part)
        command = bench.at(home, SDQCTL, "run", str(file), "-q", "--resume-if-exists")
        subprocess.run(command, cwd=home, env=bench.environment, check=True, capture_output=True)
    prompt = ("resume", "talk", "-q", "--prompt", "more [[reply: yes]]")
    ours = Command("published", bench.at(home, SDQCTL, *prompt, f"--store={store}"), cwd=home)
    note = "the same without a store: nothing is read of what was said before"
    bare = Command("not published", bench.at(home, SDQCTL, *prompt), cwd=home, note=note)
    return Case(f"a prompt in a talk of {megabytes} MB, published", ours, [bare], rounds=3)


def _talk(home: Path, part: int) -> Path:
    """A workflow whose prompts are a megabyte of words that are none."""
    rng = random.Random(part)
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(2, 10))) for _ in range(5_000)]
    lines = ["SESSION-NAME talk", "ADAPTER mock"]
    for _ in range(1_000_000 // _PROMPT):
        lines.append("PROMPT")
        lines += ["  " + " ".join(rng.choices(words, k=12)) for _ in range(_PROMPT // 86)]
        lines.append("  [[reply: fine]]")
    file = home / f"part{part}.conv"
    file.write_text("\n".join(lines) + "\n")
    return file

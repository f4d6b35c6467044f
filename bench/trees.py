"""What snapshots of a work tree cost, against `git status` there, and in a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.cases import LATENCY, SDQCTL, YARDSTICKS, Bench, Case
from bench.growth import slope
from bench.measure import Command, time_all

_A_FOLDER = 100
"""Files in each folder."""


def trees(bench: Bench) -> Iterator[Case]:
    """Unchanged trees, changed ones, and a step of a slow model."""
    small = bench.sized(10_000, 2_000)
    folder = _repository(bench, small)
    yield _snapshots(bench, folder, small, 0, 2.0)
    yield _snapshots(bench, folder, small, 10, 3.0)
    yield _step(bench, folder, small)
    if not bench.quick:
        large = 100_000
        folder = _repository(bench, large)
        yield _snapshots(bench, folder, large, 0, None)
        yield _snapshots(bench, folder, large, 10, None)


def _repository(bench: Bench, files: int) -> Path:
    """A repository with so many files, all committed."""
    folder = bench.new_home(f"tree-{files}")
    for number in range(files):
        file = folder / f"d{number // _A_FOLDER:03d}" / f"f{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"line {number}\n" * 20)
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "all"],
        ["gc", "-q"],
    ):
        command = Command("git", ["git", "-c", "gc.auto=0", *arguments], cwd=folder)
        time_all([command], 0, bench.environment)
    return folder


def _snapshots(bench: Bench, folder: Path, files: int, changed: int, bound: float | None) -> Case:
    few, many = 5, bench.sized(25, 10)
    script = str(YARDSTICKS / "snapshots.py")
    note = "says what changed since the last commit, and keeps nothing of it"
    ours, status = [], []
    for times in (few, many):
        home = bench.new_home(f"snapshots-{files}-{changed}-{times}")
        arguments = map(str, (script, folder, home, times, changed))
        ours.append(Command("snapshots", [sys.executable, *arguments]))
        loop = f"for i in $(seq {times}); do git status > /dev/null; done"
        status.append(Command("git status", ["/bin/sh", "-c", loop], cwd=folder, note=note))
    return Case(
        f"a snapshot of {files:,} files, {changed or 'none'} changed",
        slope("snapshot", ours, many - few),
        [slope("git status", status, many - few)],
        bound,
        commands=[*ours, *status],
    )


def _step(bench: Bench, folder: Path, files: int) -> Case:
    home = bench.new_home(f"snapshot-step-{files}")
    workflow = home / "w.conv"
    workflow.write_text(f"MODE implement\nPROMPT one {LATENCY}\nPROMPT two {LATENCY}\n")
    run = bench.at(home, SDQCTL, "run", str(workflow), "--sandbox", "none")
    ours = Command("run", run, bench.new_session, folder)
    note = "the same run without snapshots"
    without = [*run, "--no-snapshots"]
    bare = Command("--no-snapshots", without, bench.new_session, folder, note=note)
    return Case(f"2 steps of 2 s in {files:,} files, with snapshots", ours, [bare], 1.05)

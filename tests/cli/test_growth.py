"""A late step costs what an early one costs: counted in bytes and rows read, not in seconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl import offspring
from sdqctl.cli.app import run
from sdqctl.store.database import Database
from tests.adapters.test_turn_counter import bytes_read
from tests.bench import Bench
from tests.sampling import some

MORE = 1.5
"""A table that grows gets deeper: SQLite reads more pages. Growth with each step would be 2.1."""
Reading = Callable[[list[str]], tuple[int, int]]


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reading:
    """Runs a command, and says how many bytes of files and rows of the ledger it read.

    What it reads about the processes of this machine, however many there are, is left out.
    """
    fetch, rows = Database.rows, 0
    look, looked = offspring._processes, 0

    def counted(self: Database, query: str, *values: object) -> list[sqlite3.Row]:
        nonlocal rows
        found = fetch(self, query, *values)
        rows += len(found)
        return found

    def looking(word: str) -> dict[int, offspring._Seen]:
        nonlocal looked
        before = bytes_read()
        found = look(word)
        looked += bytes_read() - before
        return found

    def read(arguments: list[str]) -> tuple[int, int]:
        bytes_before, rows_before = bytes_read() - looked, rows
        assert run(arguments) == 0
        capsys.readouterr()
        return bytes_read() - looked - bytes_before, rows - rows_before

    monkeypatch.setattr(offspring, "_processes", looking)
    monkeypatch.setattr(Database, "rows", counted)
    return read


def hold(found: dict[int, tuple[int, int]]) -> None:
    """Check the cost of one more at the large sizes against that at the small ones."""
    small, middle, large = sorted(found)
    for early, late, last in zip(found[small], found[middle], found[large], strict=True):
        assert (last - late) / (large - middle) <= (late - early) / (middle - small) * MORE


@pytest.mark.parametrize(
    "text",
    some(1, ["PROMPT go on [[reply: done]]\n", "RUN echo 1\nPROMPT go on [[reply: done]]\n"]),
)
def test_a_later_step_reads_no_more_than_an_early_one(
    bench: Bench, reading: Reading, text: str
) -> None:
    found = {}
    for steps in (2, 1, 31, 91):  # the first one loads the program
        path = bench.write(f"w{steps}.conv", text * steps)
        found[steps] = reading(["run", str(path), "--session-name", f"s{steps}", "-q"])
    del found[2]
    hold(found)


@pytest.mark.thorough
def test_a_later_component_reads_no_more_than_an_early_one(
    bench: Bench, reading: Reading, project: Path
) -> None:
    path = bench.write("w.conv", "PROMPT {{COMPONENT_NAME}} [[reply: done]]\n")
    found = {}
    for total in (2, 20, 50, 100):  # the first one loads the program
        names = project / f"{total}.txt"
        names.write_text("".join(f"part-{total}-{number}\n" for number in range(total)))
        found[total] = reading(["apply", str(path), "--components", f"@{names}", "-q"])
    del found[2]
    hold(found)

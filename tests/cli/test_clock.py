"""The clock goes back while runs are made: their order is the order they were begun in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sdqctl.store import ledger
from tests.bench import Bench
from tests.command import forked


class Clock:
    """What the ledger takes for the time; each look at it is an hour before the last one."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self) -> datetime:
        self._looks += 1
        return datetime.now(UTC) - timedelta(hours=self._looks)


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger whose clock runs backwards within each command."""
    clock = Clock()
    monkeypatch.setattr(ledger, "_now", clock)


def paused(bench: Bench, number: int) -> Path:
    """A run of a workflow of its own that stops at its PAUSE, in session `s`."""
    path = bench.write(
        f"w{number}.conv",
        f"SESSION-NAME s\nPROMPT a{number} [[reply: A{number}]]\nPAUSE\n"
        f"PROMPT b{number} [[reply: B{number}]]\n",
    )
    assert forked("run", path, "--resume-if-exists").code == 8
    return path


def runs() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = forked("sessions", "show", "s", "--format", "json").json["runs"]
    return found


def test_resume_continue_means_the_run_that_was_begun_last(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        days = timedelta(days=number)
        monkeypatch.setattr(ledger, "_now", lambda days=days: datetime.now(UTC) - days)
        paused(bench, number)
    assert [run["workflow"] for run in runs()] == ["w1", "w2", "w3"]
    listed = forked("sessions", "list", "--format", "json").json
    assert listed[0]["run"]["workflow"] == "w3"
    done = forked("resume", "s", "--continue")
    assert (done.code, done.out) == (0, "B3\n"), done.err


def test_a_bundle_keeps_the_order_of_its_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in (1, 2):
        days = timedelta(days=number)
        monkeypatch.setattr(ledger, "_now", lambda days=days: datetime.now(UTC) - days)
        paused(bench, number)
    file = tmp_path / "s.sdqctl"
    assert forked("sessions", "export", "s", "--format", "bundle", "-o", file).code == 0
    assert forked("sessions", "delete", "s", "--force").code == 0
    assert forked("sessions", "import", file).code == 0
    assert [run["workflow"] for run in runs()] == ["w1", "w2"]
    assert forked("sessions", "fork", "s", "copy").code == 0
    copied = forked("resume", "copy", "--continue")
    assert (copied.code, copied.out) == (0, "B2\n"), copied.err


def test_no_step_took_less_than_no_time(bench: Bench, backwards: None) -> None:
    bench.command = forked
    told = bench.run("PROMPT a [[delay: 0.3]] [[reply: A]]\nRUN true\nPROMPT b [[reply: B]]\n")
    assert told.done.code == 0
    seconds = [event["seconds"] for event in told.of("step.finished")]
    assert min(seconds) >= 0
    assert seconds[0] >= 0.3  # by a clock that does not go back
    assert "-" not in "".join(re.findall(r"done in \S+", told.done.err))
    shown = forked("sessions", "show", "s").out
    assert "a [[delay" in shown
    assert not re.search(r"\s-\d", shown)
    used = json.loads(forked("sessions", "usage", "--format", "json").out)
    assert [row["seconds"] >= 0 for row in used] == [True] * len(used)

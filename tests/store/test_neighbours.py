"""Which other runs were at work since the tree was looked at before a step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.store.ledger import Ledger
from sdqctl.store.life import Life
from sdqctl.store.neighbours import at_work_since, moment


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as ledger:
        yield ledger


def start(ledger: Ledger, name: str, *, parent: str | None = None) -> str:
    run = ledger.start_run(
        adapter="mock",
        session_id=name,
        session_name=name,
        workflow="w",
        workflow_path="/w.conv",
        workflow_text="PROMPT x",
        steps_total=2,
        options="{}",
        cwd="/project",
        model=None,
        called={"parent_run": parent, "parent_path": "1", "item": None} if parent else None,
    )
    ledger.update_run(run.id, keeper="/project/.git")
    return run.id


def begin(ledger: Ledger, run_id: str, *, kind: str = "prompt", seen: int = 0) -> StepRecord:
    return ledger.begin_step(
        run_id,
        path="1",
        cycle=1,
        kind=kind,
        title="step",
        digest="d",
        session_id=None,
        snapshot_before="a",
        seen=seen,
    )


def end(ledger: Ledger, run_id: str) -> None:
    ledger.finish_step(run_id, "1", StepStatus.DONE)


def names(ledger: Ledger, home: Path, step: StepRecord) -> list[str]:
    return [each.name for each in at_work_since(ledger, home, step)]


def test_begins_and_ends_after_the_look_count_and_earlier_ones_do_not(
    ledger: Ledger, tmp_path: Path
) -> None:
    before, across, after = (start(ledger, name) for name in ("before", "across", "after"))
    begin(ledger, before)
    begin(ledger, across)
    end(ledger, before)
    seen = moment(ledger)
    end(ledger, across)  # between the look and the begin, so that it changed what was seen
    step = begin(ledger, start(ledger, "own"), seen=seen)
    assert names(ledger, tmp_path, step) == ["across"]
    begin(ledger, after)
    assert names(ledger, tmp_path, step) == ["across", "after"]


def test_an_open_step_counts_while_its_process_lives(ledger: Ledger, tmp_path: Path) -> None:
    other = start(ledger, "other")
    begin(ledger, other)
    step = begin(ledger, start(ledger, "own"), seen=moment(ledger))
    assert names(ledger, tmp_path, step) == []
    life = Life(tmp_path, other)
    life.start()
    life.stop()
    assert names(ledger, tmp_path, step) == ["other"]


def test_a_last_sign_lies_back_a_little_and_no_more(ledger: Ledger, tmp_path: Path) -> None:
    other = start(ledger, "other")
    begin(ledger, other)
    step = begin(ledger, start(ledger, "own"), seen=moment(ledger))
    life = Life(tmp_path, other)
    life.start()
    life.stop()
    (sign,) = (tmp_path / "alive").iterdir()
    assert step.started_at is not None
    for back, expected in ((0.06, ["other"]), (60.0, [])):
        os.utime(sign, (0, step.started_at.timestamp() - back))
        assert names(ledger, tmp_path, step) == expected


def test_callers_and_what_is_called_are_the_run_itself(ledger: Ledger, tmp_path: Path) -> None:
    outer = start(ledger, "outer")
    own, sibling = (start(ledger, name, parent=outer) for name in ("own", "sibling"))
    inner = start(ledger, "inner", parent=own)
    step = begin(ledger, own, seen=0)
    for run in (outer, sibling, inner):
        begin(ledger, run)
    assert names(ledger, tmp_path, step) == ["sibling"]


def test_a_run_that_waits_or_keeps_no_snapshots_is_none(ledger: Ledger, tmp_path: Path) -> None:
    step = begin(ledger, start(ledger, "own"), seen=0)
    for kind in ("call", "ask", "pause", "consult"):
        begin(ledger, start(ledger, kind), kind=kind)
    reading = start(ledger, "reading")
    ledger.update_run(reading, keeper=None)
    begin(ledger, reading)
    assert names(ledger, tmp_path, step) == []

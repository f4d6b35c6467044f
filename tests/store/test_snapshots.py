"""The ledger says how the work tree was before and after each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.model.run import RunRecord, StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger
from sdqctl.store.snapshots import all_snapshots, last_snapshot, snapshots_of
from sdqctl.store.transfer import put_rows, take_rows, without_snapshots

REF = SessionRef("mock", "s")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as ledger:
        yield ledger


@pytest.fixture
def run_id(ledger: Ledger) -> str:
    return ledger.start_run(
        adapter="mock",
        session_id="s",
        session_name="s",
        workflow="w",
        workflow_path="/w.conv",
        workflow_text="PROMPT x",
        steps_total=2,
        options="{}",
        cwd="/project",
        model=None,
    ).id


def everywhere(_: RunRecord) -> bool:
    return True


def begin(ledger: Ledger, run_id: str, path: str, before: str | None) -> None:
    ledger.begin_step(
        run_id,
        path=path,
        cycle=1,
        kind="prompt",
        title="step",
        digest="d",
        session_id="s",
        snapshot_before=before,
    )


def test_the_trees_before_and_after_stand_with_the_attempt(ledger: Ledger, run_id: str) -> None:
    ledger.update_run(run_id, keeper="/project/.git")
    begin(ledger, run_id, "1", "a")
    assert last_snapshot(ledger, REF, everywhere) == "a"
    done = ledger.finish_step(run_id, "1", StepStatus.DONE, snapshot="b")
    assert (done.snapshot_before, done.snapshot) == ("a", "b")
    begin(ledger, run_id, "2", "b")
    found = snapshots_of(ledger, REF)
    assert [(one.snapshot_before, one.snapshot) for one in found] == [("a", "b"), ("b", None)]
    assert {one.keeper for one in found} == {"/project/.git"}
    assert last_snapshot(ledger, REF, everywhere) == "b"


def test_the_newest_tree_is_that_of_the_step_which_ended_last(
    ledger: Ledger, run_id: str, tmp_path: Path
) -> None:
    begin(ledger, run_id, "1[1].1", "a")
    begin(ledger, run_id, "1[2].1", "a")
    ledger.finish_step(run_id, "1[2].1", StepStatus.DONE, snapshot="b")
    ledger.finish_step(run_id, "1[1].1", StepStatus.DONE, snapshot="c")
    assert last_snapshot(ledger, REF, everywhere) == "c"
    (tmp_path / "other").mkdir()
    with Ledger.open(tmp_path / "other") as other:
        with other.database.write("test") as connection:
            put_rows(connection, take_rows(ledger, REF))
        assert last_snapshot(other, REF, everywhere) == "c"


def test_an_attempt_without_snapshots_is_none_of_them(ledger: Ledger, run_id: str) -> None:
    begin(ledger, run_id, "1", None)
    ledger.finish_step(run_id, "1", StepStatus.DONE)
    assert list(all_snapshots(ledger)) == []
    assert last_snapshot(ledger, REF, everywhere) is None


def test_somebody_else_s_snapshots_are_not_taken_over(ledger: Ledger, run_id: str) -> None:
    begin(ledger, run_id, "1", "a")
    ledger.finish_step(run_id, "1", StepStatus.DONE, snapshot="b")
    ledger.update_run(run_id, keeper="/project/.git")
    rows = without_snapshots(take_rows(ledger, REF))
    (row,) = rows.attempts
    assert rows.runs[0]["keeper"] is None
    assert (row["snapshot_before"], row["snapshot"]) == (None, None)
    assert row["status"] == "done"

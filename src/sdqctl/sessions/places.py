"""Places in what a session did: the attempts of all its runs, in the order they were begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from sdqctl.model.paths import is_done_by
from sdqctl.model.run import GATES, RunRecord, StepRecord
from sdqctl.model.session import SessionRef
from sdqctl.store.calls import last_number
from sdqctl.store.ledger import Ledger


def own_runs(ledger: Ledger, ref: SessionRef) -> list[RunRecord]:
    """The runs that stood in a session, without those that another one of them calls."""
    runs = ledger.runs_of(ref)
    ids = {run.id for run in runs}
    return [run for run in runs if run.parent_run not in ids]


def workflow_run(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The one whose steps are meant: the last one of a workflow, else the last."""
    last = runs[-1] if runs else None
    return next((run for run in reversed(runs) if run.workflow_path is not None), last)


def last_done(steps: Sequence[StepRecord]) -> StepRecord:
    """The one of some steps of a run that was done last: the last one that was begun, but of items
    side by side the one that ended last.
    """
    last = max(steps, key=lambda step: step.number)
    items, within, _ = last.path.rpartition("[")
    beside = [
        (step.completed_at, step.number, step)
        for step in steps
        if within and step.kind == "call" and step.path.startswith(f"{items}[")
        if step.completed_at is not None
    ]
    return max(beside)[2] if beside and last.kind == "call" else last


def files_after(
    ledger: Ledger, run: RunRecord, kept: Sequence[StepRecord], going: Iterable[StepRecord]
) -> str | None:
    """The commit of the files as the steps of a run that are kept had left them.

    A gate ends when it is passed: what was asked meanwhile, and goes, has changed them by then.
    """
    last = last_done(kept)
    others = takewhile(lambda attempt: attempt.run_id != run.id, going)
    for attempt in others if last.kind in GATES else ():
        other = ledger.run(attempt.run_id)
        if other is not None and other.keeper == run.keeper and attempt.snapshot_before:
            return attempt.snapshot_before
    return last.snapshot


def number_after(ledger: Ledger, run: RunRecord, path: str) -> int:
    """The place after a step of a run: the number of the last attempt that was begun for it, or
    for one before it.
    """
    attempts = (a for a in ledger.attempts(run.id) if not a.superseded)
    kept = [attempt for attempt in attempts if is_done_by(attempt.path, path)]
    return max((last_number(ledger, attempt) for attempt in kept), default=0)


def attempts_after(ledger: Ledger, ref: SessionRef, number: int) -> list[StepRecord]:
    """The attempts of a session that were begun after a place, or were not over there since what
    they call went on; in the order they were begun.
    """
    attempts = (one for run in ledger.runs_of(ref) for one in ledger.attempts(run.id))
    found = (one for one in attempts if last_number(ledger, one) > number)
    return sorted(found, key=lambda attempt: attempt.number)

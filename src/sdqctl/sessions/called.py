"""What runs in other sessions a session's run has called, that a copy of it does not get."""

from __future__ import annotations

from collections.abc import Iterator

from sdqctl.model.run import StepRecord
from sdqctl.model.session import SessionRef
from sdqctl.sessions.places import own_runs, workflow_run
from sdqctl.store.calls import called_at, tree_ids
from sdqctl.store.ledger import Ledger


def unfinished_calls(ledger: Ledger, ref: SessionRef) -> tuple[str, ...]:
    """A line for each CALL that goes on in a session of its own: a copy of the session calls anew.

    Of the run that is gone on with, and of what it called in this session. A CALL that is done has
    its value in the copy.
    """
    return tuple(_unfinished(ledger, ref))


def _unfinished(ledger: Ledger, ref: SessionRef) -> Iterator[str]:
    run = workflow_run(own_runs(ledger, ref))
    tree = [] if run is None else tree_ids(ledger, run.id)
    for one in ledger.runs_of(ref):
        calls = ledger.steps(one.id) if one.id in tree else []
        for step in calls:
            if step.kind == "call" and not step.status.settled:
                yield from _elsewhere(ledger, ref, step)


def _elsewhere(ledger: Ledger, ref: SessionRef, step: StepRecord) -> Iterator[str]:
    """The line about a CALL, if what it called began in another session."""
    run = called_at(ledger, step.run_id, step.path)
    if run is None or SessionRef(run.adapter, run.session_id) == ref or not ledger.steps(run.id):
        return
    name = run.session_name or run.session_id
    yield (
        f"CALL {step.title} (step {step.path}) is not over, and session {name}, in which it goes "
        "on, is not carried along: a copy does all of its steps anew"
    )

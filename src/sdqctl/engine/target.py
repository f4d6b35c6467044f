"""Which session a run goes to: a new one, or on in the one that has its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.adapters.base import SessionArchive
from sdqctl.engine.component import described, is_for
from sdqctl.errors import SessionExistsError
from sdqctl.model.events import Event, Warned
from sdqctl.model.options import RunOptions
from sdqctl.model.run import RunRecord
from sdqctl.model.session import (
    Holder,
    SessionInfo,
    SessionRef,
    find_called,
    name_taken,
    session_id_for,
)
from sdqctl.store.gone import set_aside
from sdqctl.store.intentions import refuse_half_copy, settle, unsettled
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import put_session
from sdqctl.text.commands import on_session


@dataclass(frozen=True, kw_only=True)
class Target:
    """The session a run goes to. `run` is the unfinished run to go on with."""

    ref: SessionRef
    name: str
    exists: bool
    run: RunRecord | None = None


Choose = Callable[[Iterable[SessionInfo]], Target]
"""Chooses the target among the sessions that there are."""


def choose_target(
    name: str,
    adapter: str,
    *,
    entries: Iterable[SessionInfo],
    ledger: Ledger,
    workflow_path: str,
    resume_if_exists: bool,
    find_holder: Callable[[SessionRef], Holder | None] = lambda ref: None,
) -> Target:
    """Decide where `run` goes: a new session, or on in the one of this name.

    Raises SessionExistsError when the name is taken and going on was not asked for; `find_holder`
    is asked who works in it then. Raises SessionUnusableError for a copy that is not whole.
    """
    entry = find_called(entries, name)
    if entry is None:
        return Target(ref=SessionRef(adapter, session_id_for(name)), name=name, exists=False)
    refuse_half_copy(ledger, entry)
    ref = SessionRef(adapter, entry.id)
    if not resume_if_exists:
        runs = ledger.runs_of(ref, called=False)
        raise name_taken(entry, hint=_ways_on(entry.label, runs, find_holder(ref)))
    run = run_of_workflow(workflow_path, ref, ledger)
    left = run if run is not None and run.status.unfinished else None
    return Target(ref=ref, name=entry.label, exists=True, run=left)


def look_again(archive: SessionArchive, ledger: Ledger, ref: SessionRef) -> SessionInfo | None:
    """The session under its lock; None when the runtime does not have it. What a deletion or an
    import that was cut off left of it in the ledger is gone then.

    Raises SessionUnusableError for a copy that is not whole.
    """
    info = archive.get(ref.id)
    if info is not None:
        refuse_half_copy(ledger, info)
    if ref in unsettled(ledger) and not archive.layout_is_unknown():
        settle(ledger, ref) if info is not None else ledger.forget_session(ref)
    return info


def record_new(
    archive: SessionArchive,
    ledger: Ledger,
    target: Target,
    cwd: Path,
    emit: Callable[[Event], None],
) -> None:
    """Record, under its lock, that a session is made which the runtime does not have; what is
    recorded of one that was deleted by others is set aside, and that is said.
    """
    ref, aside = target.ref, None
    with ledger.database.write("ledger.session") as connection:
        if not archive.layout_is_unknown():
            aside = set_aside(connection, ref, target.name)
        put_session(connection, ref, name=target.name, cwd=str(cwd), created_at=datetime.now(UTC))
    if aside is not None:
        emit(
            Warned(
                message=f"session {target.name!r} is gone from the runtime, and a new one is made; "
                f"what is recorded of it does not count here and is kept as {aside!r}"
            )
        )


def choose_known(
    workflow_path: str,
    adapter: str,
    name: str,
    options: RunOptions,
    ledger: Ledger,
    entries: Iterable[SessionInfo],
) -> Target:
    """The session of a name, with its run of a workflow for the component of `options`, finished or
    not.

    Raises SessionExistsError when all its runs of the workflow are for something else.
    """
    target = choose_target(
        name,
        adapter,
        entries=entries,
        ledger=ledger,
        workflow_path=workflow_path,
        resume_if_exists=True,
    )
    runs = [
        run
        for run in ledger.runs_of(target.ref, called=False)
        if run.workflow_path == workflow_path
    ]
    own = [run for run in runs if is_for(run, options)]
    if runs and not own:
        raise SessionExistsError(
            f"session {name!r} has a run of the same workflow for {described(runs[-1])}",
            hint="give another --session-name, or put {{COMPONENT_PATH}} into it or SESSION-NAME: "
            "each component needs a session of its own",
        )
    return replace(target, run=to_go_on_with(own))


def run_of_workflow(workflow_path: str, ref: SessionRef, ledger: Ledger) -> RunRecord | None:
    """The run of a workflow that is gone on with in a session (`to_go_on_with`)."""
    runs = ledger.runs_of(ref, called=False)
    return to_go_on_with([run for run in runs if run.workflow_path == workflow_path])


def to_go_on_with(runs: Sequence[RunRecord]) -> RunRecord | None:
    """Of several runs, in the order they were begun, the newest that has steps left, else the
    newest; None of none.
    """
    left = [run for run in runs if run.status.unfinished]
    return next(reversed(left or runs), None)


def driven_run(target: Target, ledger: Ledger) -> RunRecord | None:
    """The run that a command did, as it is by now: the one that went on, else the newest of its
    session.
    """
    if target.run is not None:
        return ledger.run(target.run.id)
    return next(reversed(ledger.runs_of(target.ref, called=False)), None)


def _ways_on(label: str, runs: Sequence[RunRecord], holder: Holder | None) -> str:
    """What can be done with a session that is there already, by its runs of workflows."""
    if holder is not None:
        return (
            f"it is in use by {holder.describe()}; "
            f"`{on_session('sessions interrupt', label)}` ends a run that is under way, "
            "another `--session-name` begins a new session"
        )
    last = to_go_on_with([run for run in runs if run.workflow_path is not None])
    if last is not None and last.status.unfinished:
        return (
            f"`{on_session('resume', label, '--continue')}` does its remaining steps; "
            "`--resume-if-exists` goes on in it with this workflow"
        )
    state = "its run is completed; " if last is not None else ""
    return (
        f"{state}`--resume-if-exists` runs this workflow in that conversation, "
        "another `--session-name` in a new one"
    )

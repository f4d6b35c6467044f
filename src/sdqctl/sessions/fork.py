"""Copying a session up to a place: the turns that it keeps, and the steps that count as done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sdqctl.adapters.base import Adapter, Forks, power
from sdqctl.errors import SdqctlError, UsageError
from sdqctl.model.paths import is_path
from sdqctl.model.run import RunRecord, StepRecord
from sdqctl.model.session import SessionInfo, SessionRef, Turn
from sdqctl.process import commit_point
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.sessions.called import unfinished_calls
from sdqctl.sessions.fork_files import ForkPoint, OwnTree, working_in
from sdqctl.sessions.half_copies import begun, discard_half
from sdqctl.sessions.marks import find_free
from sdqctl.sessions.places import attempts_after, number_after, own_runs, workflow_run
from sdqctl.sessions.snapshots import share
from sdqctl.store.evidence import copy_commands
from sdqctl.store.gone import set_aside
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.store.naming import names_a_session
from sdqctl.store.rows import put_session
from sdqctl.store.transfer import SessionRows, cut_rows, moved, put_rows, take_rows
from sdqctl.workspace.worktrees import Made, Worktree

_TURN = re.compile(r"turn:(\d+)\Z")
_END = 2**63
"""No attempt has so great a number."""


@dataclass(frozen=True)
class Forked:
    """What was copied: the original, and how much of its run (`total` is None without one).

    `worktree` is the copy's own.
    """

    original: SessionInfo
    steps_done: int
    total: int | None
    worktree: Worktree | None = None
    calls: tuple[str, ...] = ()
    """Lines about what it calls in sessions of their own (`unfinished_calls`)."""


@names_a_session
def fork_session(
    access: Access,
    argument: str,
    name: str,
    at: str | None = None,
    adapter: str | None = None,
    *,
    branch: str | None = None,
) -> Forked:
    """Copy a session under a new name, up to a place; the original stays as it is. A copy that was
    cut off is made again.

    With a `branch` the copy works in a worktree of its own on that branch (empty: one named after
    it), which has the files as they were at the place.

    Raises UsageError for a place that is not there or left no snapshot, SessionExistsError for a
    name that is taken, WorkspaceError and CapabilityError where there can be no such worktree.
    """
    entry = find_free(access, argument, name, adapter)
    info = entry.info
    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref) as lock:
        run = _workflow_run(ledger, entry.ref)
        turns = list(access.archive(info.adapter).turns(info.id))
        cut = find_cut(at, ledger, entry.ref, run, turns)
        own = None if branch is None else OwnTree.of(access, ledger, info, run, cut, branch)
        discard_half(access, ledger, entry, name, run, own)

        with begun(access, ledger, entry.ref, name, turns):
            copying = partial(_copy, session_id=info.id, name=name, cut=cut, own=own, lock=lock)
            copy, made = with_adapter(access, info.adapter, copying)
        ref, cwd = SessionRef(info.adapter, copy.id), str(made.cwd) if made else info.cwd
        rows = SessionRows()
        if run is not None:
            rows = _copied(access, ledger, run, ref, name, cut.kept | cut.begun)
            rows = working_in(rows, made.cwd) if made else rows
            share(rows, ref)
        with ledger.database.write("ledger.fork") as connection:
            set_aside(connection, ref, name)
            put_session(connection, ref, name=name, cwd=cwd, created_at=datetime.now(UTC))
            put_rows(connection, rows)
        calls = unfinished_calls(ledger, entry.ref) if at is None else ()
    worktree = made.worktree if made else None
    return Forked(info, len(cut.kept), run.steps_total if run else None, worktree, calls)


async def _copy(
    adapter: Adapter,
    *,
    session_id: str,
    name: str,
    cut: ForkPoint,
    own: OwnTree | None,
    lock: SessionLock,
) -> tuple[SessionInfo, Made | None]:
    """The copy and its worktree; neither is left where there can be no worktree."""
    forking = power(adapter, Forks)
    lock.note_runtime(adapter.runtime_pid, adapter.runtime_mark)
    copy = await forking.fork_session(session_id, name, before_event=cut.before_event)
    commit_point("fork.copied")
    try:
        return copy, own.make(SessionRef(adapter.name, copy.id), name) if own else None
    except SdqctlError:
        await adapter.delete_session(copy.id)
        raise


def _workflow_run(ledger: Ledger, ref: SessionRef) -> RunRecord | None:
    runs = [run for run in own_runs(ledger, ref) if run.session_id == ref.id]
    run = workflow_run(runs)
    return run if run is not None and run.workflow_path is not None else None


def _copied(
    access: Access,
    ledger: Ledger,
    run: RunRecord,
    new: SessionRef,
    name: str,
    kept: frozenset[str],
) -> SessionRows:
    old = SessionRef(run.adapter, run.session_id)
    rows, ids = cut_rows(take_rows(ledger, old), run.id, kept)
    for run_id, new_id in ids.items():
        copy_commands(access.home, run_id, new_id)
    return moved(rows, old_id=old.id, new=new, name=name, cwd=None, workflows={})


def find_cut(
    at: str | None, ledger: Ledger, ref: SessionRef, run: RunRecord | None, turns: Sequence[Turn]
) -> ForkPoint:
    """The cut for `--at STEP|CHECKPOINT|turn:N`; it keeps what `at` names and all before it.

    Steps are those of the workflow's `run`; without one a plain number is a turn. Raises UsageError
    for a place that is not there, or not done.
    """
    steps = ledger.steps(run.id) if run else []
    done = [step for step in steps if step.status.settled]
    begun = [step for step in steps if not step.status.settled]
    if at is None:
        return ForkPoint(None, _paths(done), _paths(begun))
    match = _TURN.match(at)
    everything = attempts_after(ledger, ref, 0)
    if match or run is None or not steps:
        last = int(match.group(1) if match else at) if match or at.isdecimal() else 0
        if not 1 <= last <= len(turns):
            raise UsageError(f"--at {at}: the session has turns 1 to {len(turns)}")
        going = attempts_after(ledger, ref, _place_of(turns[:last], turns[last:], everything))
        begun = [step for step in begun if step.turn_id]
    else:
        path, begun = _path(at, steps, run.steps_total), []
        going = attempts_after(ledger, ref, number_after(ledger, run, path))
        last = _last_turn(run, turns, everything, going)
    gone = {one.path for one in going if run and one.run_id == run.id and not one.superseded}
    return ForkPoint(
        turns[last].event_id if last < len(turns) else None,
        _paths(step for step in done if step.path not in gone),
        _paths(step for step in begun if step.path not in gone),
        tuple(going),
    )


def _path(at: str, steps: Sequence[StepRecord], total: int) -> str:
    if is_path(at):
        path = at
    else:
        names = {step.title: step.path for step in steps if step.kind == "checkpoint"}
        if at not in names:
            known = f"; checkpoints: {', '.join(names)}" if names else ""
            raise UsageError(
                f"--at {at}: there is no such checkpoint{known}", hint="or a step, or turn:N"
            )
        path = names[at]
    if path not in {step.path for step in steps if step.status.settled}:
        raise UsageError(f"--at {at}: step {path} of {total} is not done")
    return path


def _place_of(kept: Sequence[Turn], left: Sequence[Turn], attempts: Sequence[StepRecord]) -> int:
    """The place before the first attempt whose prompt is not among the turns that are kept."""
    inside, outside = ({turn.message_id for turn in part} for part in (kept, left))
    gone = (
        attempt.number
        for attempt in attempts
        if attempt.message_id in outside
        or (attempt.message_id and attempt.message_id not in inside and not attempt.superseded)
    )
    return min(gone, default=_END) - 1


def _last_turn(
    run: RunRecord,
    turns: Sequence[Turn],
    attempts: Sequence[StepRecord],
    going: Sequence[StepRecord],
) -> int:
    """How many turns stand before those that go: up to the last one that stays since the run began,
    else up to the first one that goes.
    """
    places = {turn.message_id: turn.index for turn in turns}
    first = next((one.number for one in attempts if one.run_id == run.id), 0)
    gone = {one.number for one in going}
    stay = [one for one in attempts if one.number >= first and one.number not in gone]
    known = [places[one.message_id] for one in stay if one.message_id in places]
    later = [places[one.message_id] for one in going if one.message_id in places]
    return max(known) if known else min(later, default=len(turns) + 1) - 1


def _paths(steps: Iterable[StepRecord]) -> frozenset[str]:
    return frozenset(step.path for step in steps)

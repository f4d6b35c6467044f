"""Copying a session up to a place: the turns that it keeps, and the steps that count as done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sdqctl.adapters.base import Adapter, Forks, power
from sdqctl.errors import SdqctlError, UsageError
from sdqctl.model.paths import Key, is_path, path_key
from sdqctl.model.run import RunRecord, StepRecord
from sdqctl.model.session import SessionInfo, SessionRef, Turn
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.sessions.fork_files import OwnTree, working_in
from sdqctl.sessions.marks import find_free
from sdqctl.sessions.snapshots import share
from sdqctl.store.evidence import copy_commands
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.store.transfer import SessionRows, cut_rows, moved, put_rows, take_rows
from sdqctl.workspace.worktrees import Made, Worktree

_TURN = re.compile(r"turn:(\d+)\Z")


@dataclass(frozen=True)
class ForkPoint:
    """`before_event` is the id of the first turn that is left out, None to keep all.

    `kept` are the paths of the steps that count as done, `begun` of those that were cut off and
    are recovered in the fork as they would be in the original.
    """

    before_event: str | None
    kept: frozenset[str]
    begun: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Forked:
    """What was copied: the original, and how much of its run (`total` is None without one).

    `worktree` is the copy's own.
    """

    original: SessionInfo
    steps_done: int
    total: int | None
    worktree: Worktree | None = None


def fork_session(
    access: Access,
    argument: str,
    name: str,
    at: str | None = None,
    adapter: str | None = None,
    *,
    branch: str | None = None,
) -> Forked:
    """Copy a session under a new name, up to a place; the original stays as it is.

    With a `branch` the copy works in a worktree of its own on that branch (empty: one named after
    it), which has the files as they were at the place.

    Raises UsageError for a place that is not there or left no snapshot, SessionExistsError for a
    name that is taken, WorkspaceError and CapabilityError where there can be no such worktree.
    """
    entry = find_free(access, argument, name, adapter)
    info = entry.info
    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref):
        run = _workflow_run(ledger, entry.ref)
        steps = ledger.steps(run.id) if run else []
        turns = list(access.archive(info.adapter).turns(info.id))
        cut = find_cut(at, turns=turns, steps=steps, total=run.steps_total if run else 0)
        own = None if branch is None else OwnTree.of(access, info, run, steps, cut.kept, branch)

        copying = partial(_copy, session_id=info.id, name=name, cut=cut, own=own)
        copy, made = with_adapter(access, info.adapter, copying)
        ref, cwd = SessionRef(info.adapter, copy.id), str(made.cwd) if made else info.cwd
        ledger.record_session(ref, name=name, cwd=cwd, created_at=datetime.now(UTC))
        if run is not None:
            rows = _copied(access, ledger, run, ref, name, cut.kept | cut.begun)
            rows = working_in(rows, made.cwd) if made else rows
            share(rows, ref)
            with ledger.database.write("ledger.fork") as connection:
                put_rows(connection, rows)
    worktree = made.worktree if made else None
    return Forked(info, len(cut.kept), run.steps_total if run else None, worktree)


async def _copy(
    adapter: Adapter, *, session_id: str, name: str, cut: ForkPoint, own: OwnTree | None
) -> tuple[SessionInfo, Made | None]:
    """The copy and its worktree; neither is left where there can be no worktree."""
    forking = power(adapter, Forks)
    copy = await forking.fork_session(session_id, name, before_event=cut.before_event)
    try:
        return copy, own.make(SessionRef(adapter.name, copy.id), name) if own else None
    except SdqctlError:
        await adapter.delete_session(copy.id)
        raise


def _workflow_run(ledger: Ledger, ref: SessionRef) -> RunRecord | None:
    runs = [run for run in ledger.runs_of(ref, called=False) if run.session_id == ref.id]
    return next((run for run in reversed(runs) if run.workflow_path is not None), None)


def _copied(
    access: Access,
    ledger: Ledger,
    run: RunRecord,
    new: SessionRef,
    name: str,
    kept: frozenset[str],
) -> SessionRows:
    old = SessionRef(run.adapter, run.session_id)
    rows = cut_rows(take_rows(ledger, old), run.id, kept)
    copy_commands(access.home, run.id, rows.runs[0]["id"])
    return moved(rows, old_id=old.id, new=new, name=name, cwd=None, workflows={})


def find_cut(
    at: str | None, *, turns: Sequence[Turn], steps: Sequence[StepRecord], total: int
) -> ForkPoint:
    """The cut for `--at STEP|CHECKPOINT|turn:N`; it keeps what `at` names and all before it.

    `steps` are those of the workflow's run (none: a plain number is a turn), `total` how many
    steps its plan has. Raises UsageError for a place that is not there, or not done.
    """
    done = [step for step in steps if step.status.settled]
    cut_off = [step for step in steps if not step.status.settled]
    if at is None:
        return ForkPoint(None, _paths(done), _paths(cut_off))
    match = _TURN.match(at)
    if match or (at.isdecimal() and not steps):
        return _after_turn(int(match.group(1) if match else at), turns, done, cut_off)
    return _after_step(_path(at, steps, total), turns, done)


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


def _after_turn(
    number: int, turns: Sequence[Turn], done: Sequence[StepRecord], cut_off: Sequence[StepRecord]
) -> ForkPoint:
    if not 1 <= number <= len(turns):
        raise UsageError(f"--at turn:{number}: the session has turns 1 to {len(turns)}")
    inside = {turn.message_id for turn in turns[:number]}
    left_out = [s for s in done if s.turn_id and s.message_id not in inside]
    first = min(map(_key, left_out), default=None)
    if first is None:
        first = (max((s.position for s in done), default=0) + 1,)
    return ForkPoint(
        _event_after(number, turns),
        _paths(s for s in done if _key(s) < first),
        _paths(s for s in cut_off if _key(s) < first and s.turn_id),
    )


def _after_step(path: str, turns: Sequence[Turn], done: Sequence[StepRecord]) -> ForkPoint:
    kept = [step for step in done if _key(step) <= path_key(path)]
    places = {turn.message_id: turn.index for turn in turns}
    known = [places[s.message_id] for s in kept if s.message_id in places]
    later = [places[s.message_id] for s in done if s not in kept and s.message_id in places]
    last = max(known) if known else min(later, default=len(turns) + 1) - 1
    return ForkPoint(_event_after(last, turns), _paths(kept))


def _key(step: StepRecord) -> Key:
    return path_key(step.path)


def _paths(steps: Iterable[StepRecord]) -> frozenset[str]:
    return frozenset(step.path for step in steps)


def _event_after(number: int, turns: Sequence[Turn]) -> str | None:
    """The event id of the turn after the first `number` ones."""
    return turns[number].event_id if number < len(turns) else None

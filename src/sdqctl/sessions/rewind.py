"""Going back to a step, in the talk and in the files, and undoing that.

What there was is kept before anything changes: the files as a snapshot, the session as a bundle,
both named by a record below `rewinds/`. A rewind that was cut off is finished by the same command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.adapters.base import Adapter, AdapterConfig, AdapterSession, Rewinds, power
from sdqctl.errors import (
    CapabilityError,
    RuntimeMissingError,
    SessionBusyError,
    StepError,
    StoreError,
    UsageError,
    WorkspaceError,
)
from sdqctl.fs import replacing
from sdqctl.model.paths import is_done_by
from sdqctl.model.run import GATES, RunRecord, StepRecord, TurnBegun
from sdqctl.model.session import Turn
from sdqctl.process import commit_point
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.sessions.files import find_step, no_snapshots, stamp, tree_after
from sdqctl.sessions.places import attempts_after, number_after, own_runs, workflow_run
from sdqctl.sessions.query import Entry
from sdqctl.sessions.resolve import find_session
from sdqctl.sessions.rewind_log import RewindLog, RewindRecord
from sdqctl.sessions.transfer import export_bundle, import_session
from sdqctl.sessions.trash import trash_file
from sdqctl.store.calls import link_again, links_from, outermost
from sdqctl.store.intentions import put_unsettled
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.store.taken_back import take_back
from sdqctl.text.commands import on_session
from sdqctl.workspace.history import History
from sdqctl.workspace.snapshots import NO_LIMITS, Workspace


@dataclass(frozen=True)
class Rewound:
    """What a rewind or a redo did."""

    entry: Entry
    record: RewindRecord
    files: int | None
    """How many files changed by it; None when they were left alone."""
    left: tuple[str, ...]
    """Paths that stayed though the snapshot lacks them, or has them otherwise."""
    steps: int
    """How many steps of the talk were taken back."""


def rewind_session(
    access: Access,
    argument: str,
    to: str,
    *,
    files: bool = True,
    conversation: bool = True,
    adapter: str | None = None,
) -> Rewound:
    """Go back to where a session stood after a step or a checkpoint.

    Raises UsageError for a step that is none, WorkspaceError when there is no snapshot of it or a
    file is in the way, StepError when the runtime refuses, SessionBusyError.
    """
    entry = find_session(access, argument, adapter)
    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref):
        _refuse_in_use(access, entry)
        run = _run(ledger, entry, files=files)
        path = _path(ledger, entry, run, to)
        going = _going(ledger, entry, run, path) if conversation else []
        store = RewindLog.of(access.home, entry.ref)
        begun = store.unfinished()
        number = begun[0] if begun else store.next_number()
        target = tree_after(ledger, run, path, going) if files else None
        record = _record(access, ledger, entry, run, path, target, conversation)
        if begun:
            record = _continued(begun[1], record)
        elif conversation:
            archive = access.archive(entry.info.adapter)
            export_bundle(store.bundle(number), info=entry.info, archive=archive, ledger=ledger)
        store.write(number, record)
        commit_point("rewind.recorded")
        if conversation:
            try:
                _cut_talk(access, ledger, entry, run, path, going)
            except (CapabilityError, StepError, RuntimeMissingError):  # so nothing changed
                if not begun:
                    store.remove(number)
                raise
        changed, left = _restore(access, record, record.target)
        attempts, turns = _state(access, ledger, entry)
        done = msgspec.structs.replace(record, finished=True, attempts=attempts, turns=turns)
        store.write(number, done)
    back = {(attempt.run_id, attempt.path) for attempt in going if not attempt.superseded}
    return Rewound(entry, record, changed, left, len(back))


def redo_session(access: Access, argument: str, adapter: str | None = None) -> Rewound:
    """Undo the last rewind of a session: files and talk are as they were before it.

    The files as they are now are kept as a snapshot before. Raises UsageError when there is no
    rewind, or when the talk went on since.
    """
    entry = find_session(access, argument, adapter)
    store = RewindLog.of(access.home, entry.ref)
    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref):
        _refuse_in_use(access, entry)
        number, record = _last_rewind(store, entry)
        known = (record.attempts, record.turns)
        if record.conversation and record.finished and _state(access, ledger, entry) != known:
            raise UsageError(
                f"session {entry.info.label!r} went on after the rewind to step {record.to}",
                hint=f"what there was before lies in {store.bundle(number)}: "
                "`sdqctl sessions import FILE --name NEW` makes a session of it",
            )
        if record.before is not None:
            workspace = _workspace(access, record)
            workspace.snapshot(entry.ref, f"{record.run_id}/before-redo-{stamp()}")
        changed, left = _restore(access, record, record.before)
    if record.conversation:
        _put_back(access, entry, store.bundle(number), record)
    store.remove(number)
    return Rewound(entry, record, changed, left, 0)


def _refuse_in_use(access: Access, entry: Entry) -> None:
    holder = access.archive(entry.info.adapter).holder(entry.info.id)
    if holder is not None:
        raise SessionBusyError(
            f"session {entry.info.label!r} is in use by {holder.describe()}",
            hint="end it there first",
        )


def _run(ledger: Ledger, entry: Entry, *, files: bool) -> RunRecord:
    """The run whose steps are meant. Raises UsageError where there is none, or where it goes back
    with that which calls it; WorkspaceError where files were never kept.
    """
    run = workflow_run(own_runs(ledger, entry.ref))
    if run is None:
        raise UsageError(f"session {entry.info.label!r} has no run of sdqctl's")
    _refuse_called(ledger, entry, run)
    if files and run.keeper is None:
        raise no_snapshots(entry.info.label)
    return run


def _refuse_called(ledger: Ledger, entry: Entry, run: RunRecord) -> None:
    """Raise UsageError for a run that was called from another session."""
    outer = outermost(ledger, run)
    if outer.id in {each.id for each in ledger.runs_of(entry.ref)}:
        return
    caller = outer.session_name or outer.session_id
    raise UsageError(
        f"session {entry.info.label!r} belongs to the run of session {caller!r}, which calls it",
        hint=f"`{on_session('sessions rewind', caller, '--to STEP')}` goes back with both",
    )


def _path(ledger: Ledger, entry: Entry, run: RunRecord, to: str) -> str:
    """The path of a step or a checkpoint. Raises UsageError for one that is none, and where
    something is left to do of it, but for a human's part.
    """
    steps = ledger.steps(run.id)
    path = find_step(to, steps)
    undone = (step for step in steps if is_done_by(step.path, path) and not step.status.settled)
    if (step := next((step for step in undone if step.kind not in GATES), None)) is not None:
        going_on = on_session("resume", entry.info.label, "--continue")
        raise UsageError(
            f"step {step.path} ({step.title}) is not done: there is no place after it yet",
            hint=f"`--to` an earlier one, or go on with it: `{going_on}`",
        )
    return path


def _going(ledger: Ledger, entry: Entry, run: RunRecord, path: str) -> list[StepRecord]:
    """The attempts that are taken back: those of the session's runs that were begun after a step.

    Raises UsageError when some of them were in another conversation, or belong to another session's
    run.
    """
    going = attempts_after(ledger, entry.ref, number_after(ledger, run, path))
    live = [attempt for attempt in going if not attempt.superseded]
    for run_id in {attempt.run_id for attempt in live}:
        if (one := ledger.run(run_id)) is not None:
            _refuse_called(ledger, entry, one)
    if any(attempt.session_id not in (None, entry.info.id) for attempt in live):
        raise UsageError(
            f"the run went on in another conversation after step {path}",
            hint="`--files` takes the files back alone",
        )
    return going


def _record(
    access: Access,
    ledger: Ledger,
    entry: Entry,
    run: RunRecord,
    path: str,
    target: str | None,
    conversation: bool,
) -> RewindRecord:
    record = RewindRecord(
        run_id=run.id,
        to=path,
        cwd=run.cwd,
        keeper=run.keeper,
        target=target,
        before=None,
        conversation=conversation,
        called=links_from(ledger, entry.ref) if conversation else {},
    )
    if target is None:
        return record
    goal = History(Path(run.keeper or "")).snapshot(target)
    workspace = _workspace(access, record)
    now = workspace.snapshot(entry.ref, f"{run.id}/before-rewind-{stamp()}", parent=goal)
    return msgspec.structs.replace(record, before=now.commit)


def _continued(begun: RewindRecord, record: RewindRecord) -> RewindRecord:
    """A rewind on top of one that was cut off: what there was is what that one kept."""
    if begun.conversation != record.conversation or (begun.before is None) != (
        record.before is None
    ):
        raise UsageError(
            f"a rewind to step {begun.to} was cut off; finish it first",
            hint=f"`sdqctl sessions rewind NAME --to {begun.to}` with the same flags",
        )
    return msgspec.structs.replace(record, before=begun.before, called=begun.called)


def _workspace(access: Access, record: RewindRecord) -> Workspace:
    """The work tree of a run. Raises WorkspaceError when its snapshots lie elsewhere."""
    workspace = Workspace.open(
        Path(record.cwd or ""),
        access.home,
        limits=NO_LIMITS,
        outside=access.agent_folders(),
    )
    if str(workspace.keeper) != record.keeper:
        raise WorkspaceError(
            f"{record.cwd} belongs to {workspace.keeper} now; its snapshots lie in {record.keeper}"
        )
    return workspace


def _restore(
    access: Access, record: RewindRecord, commit: str | None
) -> tuple[int | None, tuple[str, ...]]:
    """Make the tree a commit's; how many files changed, and what was left."""
    if commit is None:
        return None, ()
    workspace = _workspace(access, record)
    restored = workspace.restore(workspace.history.snapshot(commit))
    return len(workspace.changes(restored.before, restored.tree)), restored.left


def _cut_talk(
    access: Access,
    ledger: Ledger,
    entry: Entry,
    run: RunRecord,
    path: str,
    going: Sequence[StepRecord],
) -> None:
    """Take the turns out of the conversation, then their attempts out of the runs."""
    sent = [attempt for attempt in going if attempt.turn_id and attempt.session_id == entry.info.id]
    if sent:
        turns = list(access.archive(entry.info.adapter).turns(entry.info.id))
        cwd = Path(entry.info.cwd) if entry.info.cwd else None

        async def work(adapter: Adapter) -> None:
            config = AdapterConfig(working_directory=cwd)
            session = await adapter.resume_session(entry.info.id, config)
            try:
                rewinding = power(session, Rewinds, "sessions rewind")
                if (first := await _first_turn(session, ledger, sent, turns)) is not None:
                    await rewinding.rewind(first)
            finally:
                await session.close()

        with_adapter(access, entry.info.adapter, work)
    commit_point("rewind.cut")
    take_back(ledger, run.id, going, f"rewound to step {path}")


async def _first_turn(
    session: AdapterSession, ledger: Ledger, sent: Iterable[StepRecord], turns: Iterable[Turn]
) -> TurnBegun | None:
    """The first of some prompts that stand in a conversation, by its place there."""
    places = {turn.message_id: turn.index for turn in turns}
    found = dict[int, TurnBegun]()
    for attempt in sent:
        begun = attempt.turn(ledger.other_messages(attempt))
        message_id = attempt.message_id
        if message_id is None and not attempt.superseded:
            outcome = await session.find_turn(begun)
            message_id = outcome.message_id if outcome is not None else None
        if message_id in places:
            found[places[message_id]] = begun
    return found[min(found)] if found else None


def _put_back(access: Access, entry: Entry, bundle: Path, record: RewindRecord) -> None:
    """Put a session back as a bundle has it, calling what it called. It lies in the trash until it
    is there again.
    """
    saved = trash_file(access.home, entry.info)
    try:
        with replacing(saved) as stream:
            stream.write(bundle.read_bytes())
    except OSError as error:
        raise StoreError(f"{bundle} cannot be put back: {error.strerror}") from error

    async def work(adapter: Adapter) -> None:
        await adapter.delete_session(entry.info.id)

    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref):
        link_again(ledger, record.called)
        with ledger.database.write("ledger.unsettle") as connection:
            put_unsettled(connection, entry.ref)
        with_adapter(access, entry.info.adapter, work)
        ledger.forget_session(entry.ref)
    commit_point("redo.deleted")
    import_session(access, saved, own=True, instead=entry.info)
    if entry.kept:
        with access.ledger() as ledger:
            ledger.keep_session(entry.ref, keep=True)
    saved.unlink()


def _state(access: Access, ledger: Ledger, entry: Entry) -> tuple[int, int | None]:
    """How many attempts and turns a session has."""
    ref = entry.ref
    rows = ledger.rows(
        "SELECT count(*) AS attempts FROM attempts AS a JOIN runs ON runs.id = a.run_id "
        "WHERE runs.adapter = ? AND a.session_id = ?",
        ref.adapter,
        ref.id,
    )
    return int(rows[0]["attempts"]), access.archive(ref.adapter).count_turns(ref.id)


def _last_rewind(store: RewindLog, entry: Entry) -> tuple[int, RewindRecord]:
    numbers = store.numbers()
    if not numbers:
        raise UsageError(f"session {entry.info.label!r} was not rewound: nothing to redo")
    return numbers[-1], store.read(numbers[-1])

"""Sessions that were to come or to go when a kill came: what is recorded of one that the runtime
does not have is none of a later session of its id.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sdqctl.adapters.base import SessionArchive
from sdqctl.errors import AdapterBrokenError, SessionBusyError, UsageError, WorkspaceError
from sdqctl.model.session import SessionRef, find_called
from sdqctl.sessions.access import Access
from sdqctl.sessions.rewind_log import RewindLog
from sdqctl.sessions.snapshots import forget, into_trash, keepers_of
from sdqctl.sessions.worktrees import loss_text
from sdqctl.store.evidence import remove_commands_of
from sdqctl.store.intentions import Unsettled, copies_begun, end_copy, settle, unsettled
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock, holder
from sdqctl.store.run_logs import remove_logs
from sdqctl.store.workflows import remove_unused
from sdqctl.workspace.worktrees import Worktree, remove_worktree, worktree_of


def forget_deleted(
    home: Path, ledger: Ledger, ref: SessionRef, bundle: Path | None
) -> list[tuple[Worktree, str]]:
    """Forget, under its lock, a session that the runtime does not have any more: its snapshots and
    what rewinds kept go with its bundle, worktrees only when nothing in them would be lost.

    Done again it does the rest. Returns the worktrees that stay, each with what would be lost.
    Raises WorkspaceError and StoreError; its rows are gone then as well.
    """
    runs = ledger.runs_of(ref)
    workflows = [run.workflow_path for run in runs]
    try:
        return _put_files_away(home, ref, keepers_of(ledger, ref), bundle)
    finally:
        remove_commands_of(home, ref, ledger)
        ledger.forget_session(ref)
        remove_logs(home, [run.id for run in runs if run.session_id == ref.id])
        remove_unused(home, workflows, ledger)


def _put_files_away(
    home: Path, ref: SessionRef, keepers: set[str], bundle: Path | None
) -> list[tuple[Worktree, str]]:
    rewinds = RewindLog.of(home, ref)
    if bundle is None:
        forget(keepers, ref)
        rewinds.remove_all()
    else:
        into_trash(keepers, ref, bundle)
        rewinds.move(RewindLog.of_deleted(bundle))
    stay = []
    for worktree in worktree_of(home, ref):
        if lost := loss_text(home, worktree):
            stay.append((worktree, lost))
        else:
            remove_worktree(home, worktree)
    return stay


def settle_all(access: Access, ledger: Ledger) -> None:
    """Settle what commands left that were killed: a session that was to come or to go and is not
    there is forgotten, and so is a copy that was never made. Raises StoreError.
    """
    for ref, left in unsettled(ledger).items():
        archive = _archive(access, ref.adapter)
        if archive is not None and holder(access.home, ref) is None:
            with suppress(SessionBusyError), SessionLock.acquire(access.home, ref):
                _settle(access.home, ledger, archive, ref, left)
    for (adapter, name), original in copies_begun(ledger).items():
        archive = _archive(access, adapter)
        if archive is None or find_called(archive.sessions(), name) is not None:
            continue
        if holder(access.home, original) is None:
            with suppress(SessionBusyError), SessionLock.acquire(access.home, original):
                _settle_copy(ledger, archive, name)


def _archive(access: Access, adapter: str) -> SessionArchive | None:
    """The archive of an adapter; None where it cannot tell what is there."""
    try:
        archive = access.archive(adapter)
    except (AdapterBrokenError, UsageError):
        return None
    return None if archive.layout_is_unknown() else archive


def _settle(
    home: Path, ledger: Ledger, archive: SessionArchive, ref: SessionRef, left: Unsettled
) -> None:
    if unsettled(ledger).get(ref) != left:  # another process was faster
        return
    if archive.get(ref.id) is not None:
        settle(ledger, ref)
    elif left.with_files:
        bundle = left.bundle if left.bundle is not None and left.bundle.exists() else None
        with suppress(WorkspaceError):
            forget_deleted(home, ledger, ref, bundle)
    else:
        ledger.forget_session(ref)


def _settle_copy(ledger: Ledger, archive: SessionArchive, name: str) -> None:
    if find_called(archive.sessions(), name) is None:
        end_copy(ledger, archive.name, name)

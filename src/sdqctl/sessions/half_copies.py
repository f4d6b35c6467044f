"""Copies of sessions that are not whole, since their making was cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from sdqctl.adapters.base import Adapter
from sdqctl.errors import SdqctlError, SessionExistsError, UsageError
from sdqctl.model.run import RunRecord
from sdqctl.model.session import SessionRef, Turn, find_called, name_taken
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.sessions.fork_files import OwnTree
from sdqctl.sessions.query import Entry, all_entries
from sdqctl.sessions.snapshots import forget
from sdqctl.store.intentions import begin_copy, end_copy, turns_to_copy
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.text.commands import on_session
from sdqctl.workspace.snapshots import NO_LIMITS, Workspace
from sdqctl.workspace.worktrees import Worktree, remove_worktree, worktree_of


@contextmanager
def begun(
    access: Access, ledger: Ledger, original: SessionRef, name: str, turns: Iterable[Turn]
) -> Iterator[None]:
    """Record that a copy is made, until the copy is recorded. One that fails and leaves no session
    of this name was none.
    """
    begin_copy(ledger, original, name, [turn.message_id for turn in turns])
    try:
        yield
    except SdqctlError:
        entries = all_entries(access, original.adapter)
        if find_called((entry.info for entry in entries), name) is None:
            end_copy(ledger, original.adapter, name)
        raise


def discard_half(
    access: Access,
    ledger: Ledger,
    original: Entry,
    name: str,
    run: RunRecord | None,
    own: OwnTree | None,
) -> None:
    """Remove what a kill left of a copy of this name, under the lock of the original; `own` is the
    tree that is made for it now.

    Raises SessionExistsError when another session has the name, or this one was gone on with, and
    UsageError when its worktree was worked in.
    """
    entries = all_entries(access, original.info.adapter)
    info = find_called((entry.info for entry in entries), name)
    if info is None:
        return
    half = next(entry for entry in entries if entry.info is info)
    if half.copy_of != original.ref:
        raise name_taken(info, hint="choose another name")
    with SessionLock.acquire(access.home, half.ref):
        said = _said(access, half.ref)
        if said != turns_to_copy(ledger, half.info.adapter, name)[: len(said)]:
            raise SessionExistsError(
                f"session {info.label!r} is a copy that was cut off, and it was gone on with since",
                hint=f"choose another name, or `{on_session('sessions delete', info.label)}`",
            )
        trees = worktree_of(access.home, half.ref)
        for tree in trees:
            _refuse_worked_in(access, tree, own)
        for tree in trees:
            remove_worktree(access.home, tree)
        if run is not None and run.keeper is not None:
            forget({run.keeper}, half.ref)

        async def work(adapter: Adapter) -> None:
            await adapter.delete_session(half.info.id)

        with_adapter(access, half.info.adapter, work)


def _said(access: Access, ref: SessionRef) -> list[str | None]:
    """The messages of a copy's turns; none where its journal was not made yet."""
    with suppress(FileNotFoundError):
        return [turn.message_id for turn in access.archive(ref.adapter).turns(ref.id)]
    return []


def _refuse_worked_in(access: Access, worktree: Worktree, own: OwnTree | None) -> None:
    """Raise UsageError for a worktree that has other files than it was made with."""
    if not worktree.ready or not worktree.tree.is_dir():
        return
    tree = Workspace.open(worktree.tree, access.home, limits=NO_LIMITS).tree()
    if own is None or tree != own.files.tree:
        raise UsageError(
            f"the worktree of a copy that was cut off has other files: {worktree.path}",
            hint="keep what you need of it, then "
            f"`{on_session('sessions delete', worktree.session_name)}`",
        )

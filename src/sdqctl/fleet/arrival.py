"""From a state in the store to a session on this machine, which is as a stranger's bundle."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import BundleError, SdqctlError, SessionBusyError, SessionExistsError
from sdqctl.fleet.copies import Copy, mark_of, read_copy, write_copy
from sdqctl.fleet.database import Database
from sdqctl.fleet.states import Stored, fetch
from sdqctl.model.session import SessionInfo, SessionRef, find_called
from sdqctl.sessions.access import Access
from sdqctl.sessions.choosing import Choice
from sdqctl.sessions.delete import delete_entries
from sdqctl.sessions.query import Entry, all_entries, tree_of
from sdqctl.sessions.transfer import import_session
from sdqctl.workspace.snapshots import NO_LIMITS, Workspace
from sdqctl.workspace.worktrees import remove_worktree, worktree_of


@dataclass(frozen=True)
class Arrived:
    """The session that is here now."""

    info: SessionInfo
    is_new: bool
    """False: what the store has was here already."""
    replaced: bool = False
    """Whether an older copy went into the trash for it."""


def copy_here(access: Access, stored: Stored) -> Entry | None:
    """The session of this machine that has the id of one in the store."""
    info = stored.view.info
    entries = all_entries(access, stored.adapter)
    found = find_called((entry.info for entry in entries), info.id)
    return next((entry for entry in entries if found is not None and entry.info is found), None)


def is_current(access: Access, store: str, stored: Stored, ref: SessionRef) -> bool:
    """Whether a copy here has all that the newest state has, and maybe more."""
    copy = read_copy(access.home, store, ref)
    return copy is not None and stored.token in copy.tokens


def arrive(
    access: Access,
    database: Database,
    store: str,
    stored: Stored,
    *,
    name: str | None = None,
    cwd: Path | None = None,
    force: bool = False,
    with_files: bool = True,
    workflow: Path | None = None,
) -> Arrived:
    """Make a session of the newest state; an older copy of it goes into the trash.

    A copy that has gone on by itself is replaced by `force` alone. Under another `name` it becomes
    a session of its own. A workflow called like `workflow` is that file here.

    Raises SessionExistsError, SessionBusyError, BundleError, and what an import raises; nothing is
    left then, and the older copy is in the trash at worst.
    """
    if name is not None:
        return Arrived(_import(access, database, stored, name, cwd, with_files), is_new=True)
    here = copy_here(access, stored)
    if here is not None:
        if is_current(access, store, stored, here.ref) and not force:
            return Arrived(here.info, is_new=False)
        _check(access, store, stored, here, force=force)
        cwd = cwd or _place(access, here)
        put_aside(access, here)
    info = _import(access, database, stored, None, cwd, with_files, workflow)
    note_copy(access, store, stored, SessionRef(info.adapter, info.id))
    return Arrived(info, is_new=True, replaced=here is not None)


def note_copy(access: Access, store: str, stored: Stored, ref: SessionRef) -> None:
    """Write down that a session here is what the newest state says."""
    copy = Copy(session=stored.session, tokens=(stored.token,), mark=mark_of(access, ref))
    write_copy(access.home, store, ref, copy)


def put_aside(access: Access, entry: Entry) -> None:
    """Put a copy into the trash, with what its runs called and its worktrees as they are now: what
    they did is done anew, where the store has it undone.

    Raises the error for which it cannot go.
    """
    going = tree_of(entry, all_entries(access))
    found = worktree_of(access.home, entry.ref)
    for worktree in found:
        if worktree.tree.is_dir():
            workspace = Workspace.open(worktree.tree, access.home, limits=NO_LIMITS)
            workspace.snapshot(entry.ref, f"aside/{worktree.tree.parent.name}")
    delete_entries(access, Choice(going, unused=True)).raise_what_stays()
    for worktree in worktree_of(access.home, entry.ref):
        remove_worktree(access.home, worktree)


def _check(access: Access, store: str, stored: Stored, here: Entry, *, force: bool) -> None:
    """Raise for a copy that is not to be replaced."""
    if here.holder is not None:
        raise SessionBusyError(
            f"session {here.info.label!r} is in use here by {here.holder.describe()}",
            hint="end it there first",
        )
    copy = read_copy(access.home, store, here.ref)
    unchanged = copy is not None and copy.mark == mark_of(access, here.ref)
    if not force and not (unchanged and copy is not None and copy.session == stored.session):
        raise SessionExistsError(
            f"session {here.info.label!r} is here, too, and has what the store has not: they went "
            f"apart (the store's newest state is from {stored.host})",
            hint=f"`sessions pull {stored.name} --name NEW` takes the store's beside it; `--force` "
            "takes the store's, and puts the one here into the trash",
        )


def _place(access: Access, here: Entry) -> Path | None:
    """The clone that an older copy worked in, for the tree of the new one."""
    for worktree in worktree_of(access.home, here.ref):
        if Path(worktree.top).is_dir():
            return Path(worktree.top)
    return None


def _import(
    access: Access,
    database: Database,
    stored: Stored,
    name: str | None,
    cwd: Path | None,
    with_files: bool,
    workflow: Path | None = None,
) -> SessionInfo:
    with tempfile.TemporaryDirectory(prefix="sdqctl-") as folder:
        file = Path(folder) / "state"
        fetch(database, stored, file)
        try:
            return import_session(access, file, name, cwd, with_files=with_files, workflow=workflow)
        except BundleError as error:
            text = error.message.replace(str(file), f"the state of session {stored.name!r}")
            raise _like(error, text) from error


def _like(error: SdqctlError, message: str) -> SdqctlError:
    return type(error)(message, hint=error.hint)

"""Bringing what a session changed into the user's branch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec

from sdqctl.errors import UsageError
from sdqctl.sessions.access import Access
from sdqctl.sessions.files import TreeRange, find_range, run_with_trees, stamp
from sdqctl.store.locks import SessionLock
from sdqctl.workspace.history import History
from sdqctl.workspace.merge import FIRST_COMMIT, Change, Target
from sdqctl.workspace.repository import current_commit
from sdqctl.workspace.snapshots import NO_LIMITS, Workspace
from sdqctl.workspace.worktrees import Worktree, worktree_of, write_worktree


class How(Enum):
    """Where the changes go."""

    TREE = "tree"
    """Into the work tree and the index, uncommitted."""
    COMMIT = "commit"
    BRANCH = "branch"


@dataclass(frozen=True)
class Applied:
    """What was done: where, the commit if there is one, and how many files it is about."""

    name: str
    top: Path
    commit: str | None
    files: int


def session_patch(access: Access, argument: str, adapter: str | None = None) -> bytes:
    """What a session changed, as a patch that `git apply` takes."""
    found, _ = _whole(access, argument, adapter)
    return History(found.keeper).diff(found.before, found.after, appliable=True)


def apply_session(
    access: Access,
    argument: str,
    how: How,
    *,
    branch: str | None = None,
    adapter: str | None = None,
) -> Applied:
    """Merge what a session changed, from before its first step to now, as git merges.

    Raises WorkspaceError for conflicts in git's words, UsageError when the changes are in the work
    tree already, SessionBusyError, and what `find_range` raises.
    """
    found, worktree = _whole(access, argument, adapter)
    label = found.entry.info.label
    with SessionLock.acquire(access.home, found.entry.ref):
        target = Target(Path(worktree.top) if worktree else _top(access, found))
        change = Change(found.before, found.after, f"Changes of the sdqctl session {label}")
        commit = None
        if how is How.BRANCH:
            start = worktree.base if worktree else None
            commit = target.commit_on(branch or "", change, start)
        elif how is How.COMMIT and worktree is None:
            commit = target.commit_in_place(change)
        elif how is How.COMMIT:
            commit = target.merge_and_commit(change)
        elif worktree is None:
            is_born = current_commit(target.repository) is not None
            raise UsageError(
                f"{label!r} worked in {target.repository.top}: its changes are there already",
                hint="--commit commits them, --branch NAME on another branch"
                if is_born
                else FIRST_COMMIT,
            )
        else:
            target.merge(change)
        if worktree is not None:
            tree = History(found.keeper).snapshot(found.after).tree
            write_worktree(msgspec.structs.replace(worktree, applied=tree))
    files = len(History(found.keeper).changes(found.before, found.after))
    return Applied(label, target.repository.top, commit, files)


def _whole(access: Access, argument: str, adapter: str | None) -> tuple[TreeRange, Worktree | None]:
    """All that a session changed; in a worktree of its own up to what lies there now."""
    found = find_range(access, argument, None, adapter)
    ref = found.entry.ref
    own = (each for each in worktree_of(access.home, ref) if each.common == str(found.keeper))
    worktree = next(own, None)
    if worktree is None or not worktree.tree.is_dir():
        return found, worktree
    workspace = Workspace.open(worktree.tree, access.home, limits=NO_LIMITS)
    history = History(found.keeper)
    last = history.snapshot(found.after)
    with access.ledger(read_only=True) as ledger:
        run = run_with_trees(ledger, ref, found.entry.info.label)
    now = workspace.snapshot(ref, f"{run.id}/applied-{stamp()}", parent=last)
    return TreeRange(found.entry, found.keeper, found.before, now.commit), worktree


def _top(access: Access, found: TreeRange) -> Path:
    with access.ledger(read_only=True) as ledger:
        run = run_with_trees(ledger, found.entry.ref, found.entry.info.label)
    return Path(run.cwd or "")

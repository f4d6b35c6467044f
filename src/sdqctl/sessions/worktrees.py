"""The worktrees of sessions: which there are, what would be lost with them, removing them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import UsageError, WorkspaceError
from sdqctl.model.session import SessionRef
from sdqctl.model.views.workspace import WorktreeView
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import all_entries
from sdqctl.sessions.resolve import find_session
from sdqctl.workspace.worktrees import (
    Worktree,
    remove_worktree,
    worktree_of,
    worktrees,
    would_lose,
)


@dataclass(frozen=True)
class Standing:
    """A worktree, and why it stays."""

    worktree: Worktree
    loss_text: str
    """What would be lost with it; empty for nothing."""
    session_text: str = ""
    """Why its session needs it; empty when it does not."""

    @property
    def reason(self) -> str:
        """Why it is not removed."""
        return f"{self.loss_text} would be lost" if self.loss_text else self.session_text

    def view(self) -> WorktreeView:
        """As JSON shows it."""
        one = self.worktree
        return WorktreeView(
            session=one.session_id,
            name=one.session_name,
            adapter=one.adapter,
            path=one.path,
            branch=one.branch,
            base=one.base,
            repository=one.top,
            would_lose=self.loss_text or None,
        )


def standing_worktrees(access: Access) -> list[Standing]:
    """All worktrees, each with what would be lost with it."""
    return [Standing(each, loss_text(access.home, each)) for each in worktrees(access.home)]


def loss_text(home: Path, worktree: Worktree) -> str:
    """What would be lost with a worktree, in a few words; empty for nothing."""
    try:
        return would_lose(home, worktree).describe()
    except WorkspaceError as error:  # what cannot be told might be lost
        return f"what is in it ({error.message})"


def worktree_path(access: Access, argument: str, adapter: str | None = None) -> Path:
    """The folder of a session's worktree. Raises UsageError when it has none."""
    entry = find_session(access, argument, adapter)
    found = worktree_of(access.home, entry.ref)
    if not found:
        raise UsageError(f"session {entry.info.label!r} has no worktree of its own")
    return found[-1].tree


def prune_worktrees(
    access: Access, *, all_done: bool, dry_run: bool
) -> tuple[list[Standing], list[Standing]]:
    """Remove the worktrees that nobody needs; returns those that went, and those that stay."""
    needed = _needed(access, all_done)
    going: list[Standing] = []
    staying: list[Standing] = []
    for each in worktrees(access.home):
        found = Standing(each, loss_text(access.home, each), needed.get(each.ref, ""))
        (staying if found.reason else going).append(found)
    if not dry_run:
        for found in going:
            remove_worktree(access.home, found.worktree)
    return going, staying


def _needed(access: Access, all_done: bool) -> dict[SessionRef, str]:
    """Why sessions need their worktrees."""
    found = {}
    for entry in all_entries(access):
        if entry.holder is not None:
            found[entry.ref] = "its session is in use"
        elif entry.unfinished():
            found[entry.ref] = "its session's run is not finished"
        elif not all_done:
            found[entry.ref] = "its session is there (--all)"
    return found

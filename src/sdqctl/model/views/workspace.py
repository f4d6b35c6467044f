"""Worktrees as JSON shows them."""

from __future__ import annotations

import msgspec


class WorktreeView(msgspec.Struct, frozen=True, kw_only=True):
    """A git worktree of a session's own."""

    session: str
    """The session's id."""
    name: str
    """The session's name when it was made."""
    adapter: str
    path: str
    branch: str
    base: str
    """The commit that it started from."""
    repository: str
    """The work tree that it was made from."""
    would_lose: str | None
    """What would be lost with it, in a few words."""

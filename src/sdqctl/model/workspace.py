"""What is kept of a work tree after a step, and how two of these differ."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Snapshot(msgspec.Struct, frozen=True):
    """A work tree as it was: a git commit on a hidden ref, and its tree."""

    commit: str
    tree: str


class FileStatus(StrEnum):
    """What became of a file between two trees."""

    ADDED = "added"
    MODIFIED = "modified"
    """Its content, or whether it can be executed."""
    DELETED = "deleted"
    RETYPED = "retyped"
    """A file became a link, a link a file, or either a repository of its own."""


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file that differs between two trees. `added` and `removed` are lines, None of binary files.

    `path` starts from the top of the tree; bytes in it that are no UTF-8 stand as `\\xNN`.
    """

    path: str
    status: FileStatus
    added: int | None = None
    removed: int | None = None

    @property
    def binary(self) -> bool:
        """Whether it has no lines to count."""
        return self.added is None

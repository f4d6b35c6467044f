"""What `trust --format json` writes."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sdqctl.model.repository import Changes, RepositoryFile
from sdqctl.model.trust import TrustState


class TrustView(msgspec.Struct, frozen=True, kw_only=True):
    """What a repository brings, and whether it takes effect."""

    folder: str
    """What trust would be given to."""
    root: str
    """Where the files lie."""
    state: TrustState
    digest: str
    """Over all files: what trust binds to."""
    trusted_at: datetime | None
    files: tuple[RepositoryFile, ...]
    changes: Changes
    """Since it was trusted."""


class TrustedView(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that is trusted, or a file that version 0.1 was told to trust."""

    folder: str
    trusted_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """Of a folder."""
    files: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Of a folder: each file below it, with the digest of what was in it."""
    file: str | msgspec.UnsetType = msgspec.UNSET
    """The file that version 0.1 was told to trust."""


class DistrustView(msgspec.Struct, frozen=True, kw_only=True):
    """What `trust --remove` did."""

    removed: list[str]
    """The folders that are no longer trusted."""

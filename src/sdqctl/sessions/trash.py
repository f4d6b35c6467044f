"""What was deleted, kept as bundles until the trash is emptied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.errors import BundleError, SessionNotFoundError
from sdqctl.fs import make_private_folder
from sdqctl.model.session import SessionInfo, find_called
from sdqctl.model.views.session import TrashView
from sdqctl.sessions.bundle import Bundle
from sdqctl.sessions.snapshots import forget_trashed

_SUFFIX = ".sdqctl"


@dataclass(frozen=True)
class Deleted:
    """One bundle in the trash. `info` is None when it cannot be read."""

    path: Path
    deleted_at: datetime
    size: int
    info: SessionInfo | None

    @property
    def label(self) -> str:
        """The session's name, or the file's."""
        return self.info.label if self.info else self.path.name

    def view(self) -> TrashView:
        """The bundle as JSON shows it."""
        info = self.info
        return TrashView(
            name=info.name if info else None,
            id=info.id if info else None,
            adapter=info.adapter if info else None,
            deleted_at=self.deleted_at,
            size=self.size,
            file=str(self.path),
        )


def trash_file(home: Path, info: SessionInfo) -> Path:
    """Where the bundle of a session that is about to be deleted goes. Raises StoreError."""
    folder = home / "trash"
    make_private_folder(folder)
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", info.label).strip("-")[:60] or "session"
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{slug}{_SUFFIX}"


def deleted_sessions(home: Path) -> list[Deleted]:
    """What lies in the trash, the last deleted first."""
    found = []
    for path in sorted((home / "trash").glob(f"*{_SUFFIX}"), reverse=True):
        try:
            with Bundle.open(path) as bundle:
                info: SessionInfo | None = bundle.manifest.session
                when = bundle.manifest.created_at
        except BundleError:
            info, when = None, datetime.fromtimestamp(path.stat().st_mtime, UTC)
        found.append(Deleted(path, when, path.stat().st_size, info))
    return found


def deleted_before(home: Path, seconds: float) -> list[Deleted]:
    """What was deleted at least so long ago."""
    now = datetime.now(UTC)
    found = deleted_sessions(home)
    return [each for each in found if (now - each.deleted_at).total_seconds() >= seconds]


def remove(entry: Deleted) -> None:
    """Remove a deleted session for good, with the snapshots that were put away with it."""
    forget_trashed(_keepers(entry.path), entry.path)
    entry.path.unlink(missing_ok=True)


def _keepers(path: Path) -> set[str]:
    """The git folders that a bundle's runs have snapshots in."""
    try:
        with Bundle.open(path) as bundle:
            found = (run.get("keeper") for run in bundle.rows().runs)
            return {keeper for keeper in found if isinstance(keeper, str)}
    except BundleError:
        return set()


def find_deleted(home: Path, argument: str) -> Deleted:
    """The last deleted session of this name or id. Raises SessionNotFoundError."""
    for entry in deleted_sessions(home):
        if entry.info is not None and find_called([entry.info], argument) is not None:
            return entry
    raise SessionNotFoundError(
        f"the trash has no session {argument!r}", hint="`sdqctl sessions trash list` shows all"
    )

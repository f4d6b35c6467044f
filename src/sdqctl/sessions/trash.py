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
from sdqctl.sessions.rewind_log import RewindLog
from sdqctl.sessions.snapshots import forget_trashed

_SUFFIX = ".sdqctl"


@dataclass(frozen=True)
class Deleted:
    """One bundle in the trash. `info` is None when it cannot be read."""

    path: Path
    deleted_at: datetime
    size: int
    """Of all that went with it, in bytes."""
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
        size = path.stat().st_size + RewindLog.of_deleted(path).size()
        found.append(Deleted(path, when, size, info))
    return found


def deleted_before(home: Path, seconds: float) -> list[Deleted]:
    """What was deleted at least so long ago."""
    now = datetime.now(UTC)
    found = deleted_sessions(home)
    return [each for each in found if (now - each.deleted_at).total_seconds() >= seconds]


def remove(entry: Deleted) -> None:
    """Remove a deleted session for good, with the snapshots that were put away with it, and what
    its rewinds had kept.
    """
    forget_trashed(_keepers(entry.path), entry.path)
    RewindLog.of_deleted(entry.path).remove_all()
    entry.path.unlink(missing_ok=True)


def _keepers(path: Path) -> set[str]:
    """The git folders that a bundle's runs have snapshots in."""
    try:
        with Bundle.open(path) as bundle:
            found = (run.get("keeper") for run in bundle.rows().runs)
            return {keeper for keeper in found if isinstance(keeper, str)}
    except BundleError:
        return set()


def called_by_deleted(home: Path, entry: Deleted) -> list[Deleted]:
    """The deleted sessions that the runs of a deleted one called, the innermost first."""
    runs, calls = _runs_of(entry.path)
    if not calls:
        return []
    others = [one for one in deleted_sessions(home) if one.path != entry.path]
    known = {one.path: _runs_of(one.path)[0] for one in others}
    found: list[Deleted] = []
    inside = set(runs)
    while True:
        inner = [one for one in others if one not in found]
        inner = [one for one in inner if inside & {*known[one.path].values()}]
        if not inner:
            return found[::-1]
        found += inner
        inside |= {run for one in inner for run in known[one.path]}


def _runs_of(path: Path) -> tuple[dict[str, str | None], bool]:
    """The runs of a bundle, each with the one that calls it, and whether they call any."""
    try:
        with Bundle.open(path) as bundle:
            rows = bundle.rows()
    except BundleError:
        return {}, False
    runs = {str(run["id"]): run.get("parent_run") for run in rows.runs}
    return runs, any(attempt.get("kind") == "call" for attempt in rows.attempts)


def find_deleted(home: Path, argument: str) -> Deleted:
    """The last deleted session of this name or id. Raises SessionNotFoundError."""
    for entry in deleted_sessions(home):
        if entry.info is not None and find_called([entry.info], argument) is not None:
            return entry
    raise SessionNotFoundError(
        f"the trash has no session {argument!r}", hint="`sdqctl sessions trash list` shows all"
    )

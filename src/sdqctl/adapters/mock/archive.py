"""The mock's sessions on disk: `<data>/mock/<id>/` with `session.json` and `events.jsonl`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.adapters.files import install
from sdqctl.adapters.folders import JOURNAL, FolderArchive
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import SessionUnusableError
from sdqctl.fs import write_private
from sdqctl.model.session import SessionInfo

METADATA = "session.json"


class Metadata(msgspec.Struct, kw_only=True):
    """What session.json says."""

    name: str | None = None
    cwd: str | None = None
    model: str | None = None
    client: str = "sdqctl"
    created_at: datetime
    remote: bool = False


class MockArchive(FolderArchive):
    """Reads the mock's sessions (SessionArchive)."""

    name = "mock"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings.data_dir / "mock")

    def _read(self, session_id: str) -> SessionInfo | None:
        folder = self._root / session_id
        try:
            raw = (folder / METADATA).read_bytes()
        except OSError:
            return None
        try:
            found = msgspec.json.decode(raw, type=Metadata)
        except msgspec.MsgspecError as error:
            return SessionInfo(id=session_id, adapter=self.name, damage=f"session.json: {error}")
        damage = journal_damage(folder / JOURNAL)
        written = _modified(folder / JOURNAL)
        return SessionInfo(
            id=session_id,
            adapter=self.name,
            name=found.name,
            summary=found.name,
            start_time=found.created_at,
            modified_time=written or found.created_at,
            is_remote=found.remote,
            client=found.client,
            model=found.model,
            cwd=found.cwd,
            stored=written is not None,
            damage=damage,
        )

    def install(
        self,
        staged: Path,
        session_id: str,
        *,
        name: str | None,
        cwd: str | None,
        unchanged: bool = False,
    ) -> None:
        """Write name and folder into the metadata, then move."""
        if not unchanged:
            _relabel(staged / METADATA, cwd, name=name)
        install(staged, self._root / session_id)

    def relocate(self, session_id: str, cwd: str) -> None:
        """Write the folder into the metadata (Relocates)."""
        _relabel(self._root / session_id / METADATA, cwd)


def _relabel(file: Path, cwd: str | None, **named: str | None) -> None:
    try:
        known = msgspec.json.decode(file.read_bytes(), type=Metadata)
    except (OSError, msgspec.MsgspecError) as error:
        raise SessionUnusableError(f"{METADATA} is none of a mock session: {error}") from error
    changed = msgspec.structs.replace(known, cwd=cwd or known.cwd, **named)
    write_private(file, msgspec.json.encode(changed))


def journal_damage(path: Path) -> str | None:
    """Why a journal cannot be resumed, None when it can."""
    try:
        with path.open("rb") as stream:
            first = stream.readline()
    except OSError as error:
        return f"the journal cannot be read: {error.strerror}"
    if b'"session.start"' not in first:
        return "the journal does not begin with session.start"
    return None


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None

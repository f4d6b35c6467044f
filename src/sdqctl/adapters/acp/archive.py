"""The sessions of an agent as sdqctl keeps them: `<data>/acp/<agent>/<id>/`.

The protocol gives no names and no journal, so both are ours: `session.json` maps the name to the
agent's own id, and `events.jsonl` is what the agent said, written as it came.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.adapters.files import install
from sdqctl.adapters.folders import FolderArchive
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import SessionUnusableError
from sdqctl.fs import write_private
from sdqctl.model.session import SessionInfo

METADATA = "session.json"


class Metadata(msgspec.Struct, kw_only=True):
    """What session.json says."""

    name: str | None = None
    cwd: str
    model: str | None = None
    created_at: datetime
    agent_id: str | None = None
    """The agent's own id; None: the agent has no session yet."""
    agent_version: str | None = None


def sessions_folder(settings: AdapterSettings, agent: str) -> Path:
    """Where the sessions of an agent lie."""
    return settings.data_dir / "acp" / agent


def read_metadata(folder: Path) -> Metadata:
    """A session's metadata. Raises SessionUnusableError."""
    try:
        return msgspec.json.decode((folder / METADATA).read_bytes(), type=Metadata)
    except (OSError, msgspec.MsgspecError) as error:
        raise SessionUnusableError(f"{folder / METADATA} cannot be read: {error}") from error


def write_metadata(folder: Path, metadata: Metadata) -> None:
    """Write a session's metadata, whole."""
    write_private(folder / METADATA, msgspec.json.encode(metadata))


class AcpArchive(FolderArchive):
    """Reads the sessions of one agent (SessionArchive)."""

    def __init__(self, name: str, settings: AdapterSettings) -> None:
        self.name = name
        super().__init__(sessions_folder(settings, name))

    def _read(self, session_id: str) -> SessionInfo | None:
        folder = self._root / session_id
        if not (folder / METADATA).exists():
            return None
        try:
            found = read_metadata(folder)
        except SessionUnusableError as error:
            return SessionInfo(id=session_id, adapter=self.name, damage=error.message)
        written = self._written(session_id)
        return SessionInfo(
            id=session_id,
            adapter=self.name,
            name=found.name,
            summary=found.name,
            start_time=found.created_at,
            modified_time=written or found.created_at,
            client="sdqctl",
            model=found.model,
            cwd=found.cwd,
            stored=written is not None,
        )

    def _written(self, session_id: str) -> datetime | None:
        found = self.fingerprint(session_id)
        return None if found is None else datetime.fromtimestamp(found[1] / 1e9, UTC)

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
            known = read_metadata(staged)
            known.name, known.cwd = name or known.name, cwd or known.cwd
            write_metadata(staged, known)
        install(staged, self._root / session_id)

    def relocate(self, session_id: str, cwd: str) -> None:
        """Write the folder into the metadata (Relocates)."""
        folder = self._root / session_id
        known = read_metadata(folder)
        known.cwd = cwd
        write_metadata(folder, known)

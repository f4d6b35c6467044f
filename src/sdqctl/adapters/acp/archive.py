"""The sessions of an agent as sdqctl keeps them: `<data>/acp/<agent>/<id>/`.

The protocol gives no names and no journal, so both are ours: `session.json` maps the name to the
agent's own id, and `events.jsonl` is what the agent said, written as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.adapters.files import install
from sdqctl.adapters.folders import JOURNAL, FolderArchive
from sdqctl.adapters.journal_writer import cut_before
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import SdqctlError, SessionUnusableError
from sdqctl.fs import write_private
from sdqctl.model.session import SessionInfo

if TYPE_CHECKING:
    from sdqctl.adapters.acp.profiles import Profile

METADATA = "session.json"


class WayBack(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the conversation as it was before a prompt."""

    message_id: str
    """Of the prompt."""
    agent_id: str | None
    """The agent's id of the copy; None: nothing had been said."""


class Metadata(msgspec.Struct, kw_only=True):
    """What session.json says."""

    name: str | None = None
    cwd: str
    model: str | None = None
    created_at: datetime
    agent_id: str | None = None
    """The agent's own id; None: the agent has no session yet."""
    agent_version: str | None = None
    way_back: WayBack | None = None
    cut: str | None = None
    """An event of the journal that goes, with all after it: a rewind was cut off before it did."""
    copies: list[str] = []
    """The agent's ids of copies that are not needed any more."""


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


def finish_cut(folder: Path, metadata: Metadata) -> None:
    """Cut the journal where a rewind is to. Done again, it comes to the same."""
    if metadata.cut is not None:
        cut_before(folder / JOURNAL, metadata.cut)
        metadata.cut = None
        write_metadata(folder, metadata)


class AcpArchive(FolderArchive):
    """Reads the sessions of one agent (SessionArchive)."""

    def __init__(
        self,
        name: str,
        settings: AdapterSettings,
        profile: Callable[[], Profile] | None = None,
    ) -> None:
        """`profile` is read for what carries sessions; without one the agent's own files stay."""
        self.name = name
        self._environment = settings.environment
        self._profile = profile
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

    def files(self, session_id: str) -> list[tuple[str, Path]]:
        """The session's folder, and the agent's own files of it."""
        return [*super().files(session_id), *self._own_files(session_id)]

    def _own_files(self, session_id: str) -> list[tuple[str, Path]]:
        patterns = self._patterns()
        try:
            agent_id = read_metadata(self._root / session_id).agent_id if patterns else None
        except SessionUnusableError:
            return []
        if agent_id is None:
            return []
        from sdqctl.adapters.acp.own_files import own_files

        return own_files(patterns, agent_id, self._environment)

    def _patterns(self) -> tuple[str, ...]:
        return () if self._profile is None else self._profile().files

    def left_behind(self, session_id: str) -> str | None:
        """The agent's own part of a session, where it is not known or not there (LeavesBehind)."""
        if self._own_files(session_id):
            return None
        return (
            f"{self.name} keeps the conversation in a store of its own, which the bundle does not "
            "carry: elsewhere the session can be read and searched, and not gone on with"
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
        """Write name and folder into the metadata, give the agent its files, then move."""
        from sdqctl.adapters.acp.own_files import FOLDER, place_files, remove

        placed: list[Path] = []
        if (staged / FOLDER).is_dir():
            agent_id = read_metadata(staged).agent_id
            placed = place_files(staged, self._patterns(), agent_id, self._environment)
        try:
            if not unchanged:
                known = read_metadata(staged)
                known.name, known.cwd = name, cwd or known.cwd
                known.way_back, known.cut, known.copies = None, None, []  # of another place
                write_metadata(staged, known)
            install(staged, self._root / session_id)
        except SdqctlError:
            remove(placed)
            raise

    def relocate(self, session_id: str, cwd: str) -> None:
        """Write the folder into the metadata (Relocates)."""
        folder = self._root / session_id
        known = read_metadata(folder)
        known.cwd = cwd
        write_metadata(folder, known)

"""The embedded adapter: a scripted agent in-process, whose sessions persist on disk.

With it a workflow is tried without an account or a network. It keeps the rules of the real one: an
existing session is never created again, one that is in use is not deleted.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sdqctl.adapters.base import AdapterConfig, AdapterSession, Capability, Health, capabilities_of
from sdqctl.adapters.files import remove_folder
from sdqctl.adapters.folders import JOURNAL
from sdqctl.adapters.journal_writer import write_event
from sdqctl.adapters.mock.archive import METADATA, Metadata, MockArchive
from sdqctl.adapters.mock.script import read_script
from sdqctl.adapters.mock.session import MockSession
from sdqctl.adapters.names import KnownNames
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import (
    SessionBusyError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.fs import make_private_folder, write_private
from sdqctl.model.session import SessionInfo, name_taken, session_id_for
from sdqctl.text.commands import on_session

_MODEL = "mock-1"


class MockAdapter:
    """Adapter, Forks, Renames and ListsModels."""

    name = "mock"
    runtime_pid: int | None = None
    runtime_mark: str | None = None

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The powers that it has."""
        return capabilities_of(type(self), MockSession)

    def __init__(self, settings: AdapterSettings) -> None:
        self._root = settings.data_dir / "mock"
        self._archive = MockArchive(settings)
        self._names = KnownNames(self._root, self._archive.get)
        self._rules = read_script(settings.environment.get("SDQCTL_MOCK_SCRIPT"))
        self._open: list[MockSession] = []

    async def __aenter__(self) -> Self:
        make_private_folder(self._root)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._open:
            await session.close()

    async def create_session(self, config: AdapterConfig) -> AdapterSession:
        """Create a session; an existing id or name is refused, or resumed when asked for."""
        name = config.session_name
        session_id = session_id_for(name) if name else str(uuid.uuid4())
        existing = self._find(session_id, name)
        if existing is not None:
            if config.resume_if_exists:
                return await self.resume_session(existing.id, config)
            raise name_taken(existing, hint="choose another name, or resume it")
        cwd = _folder(config.working_directory or Path.cwd())
        metadata = Metadata(
            name=name,
            cwd=str(cwd),
            model=config.model or _MODEL,
            created_at=datetime.now(UTC),
        )
        folder = self._make(session_id, metadata)
        write_event(folder / JOURNAL, "session.start", {"sessionId": session_id, "cwd": str(cwd)})
        return self._session(session_id, config)

    async def resume_session(self, session_id: str, config: AdapterConfig) -> AdapterSession:
        """Open an existing session; model and working directory are applied again."""
        info = self._archive.get(session_id)
        if info is None:
            raise SessionNotFoundError(f"the mock has no session {session_id!r}")
        if info.is_remote:
            raise SessionUnusableError(
                f"session {info.label!r} runs remotely and cannot be resumed from here"
            )
        if info.damage is not None:
            raise SessionUnusableError(
                f"session {info.label!r} cannot be resumed: {info.damage}",
                hint=f"`{on_session('sessions show', info.label)}` shows what can be read",
            )
        cwd = _folder(config.working_directory or Path(info.cwd or Path.cwd()))
        self._change(session_id, cwd=str(cwd), model=config.model or info.model)
        return self._session(session_id, config)

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """All sessions."""
        return list(self._archive.sessions())

    async def get_session(self, session_id: str) -> SessionInfo | None:
        """One session."""
        return self._archive.get(session_id)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session that nobody else has open."""
        if self._archive.get(session_id) is None:
            raise SessionNotFoundError(f"the mock has no session {session_id!r}")
        holder = self._archive.holder(session_id)
        if holder is not None and holder.pid != os.getpid():
            raise SessionBusyError(f"session {session_id!r} is open in {holder.describe()}")
        remove_folder(self._root / session_id)

    async def check(self) -> Health:
        """It is always there."""
        return Health(adapter=self.name, installed=True, version="built in", signed_in=True)

    async def fork_session(
        self, session_id: str, name: str, *, before_event: str | None = None
    ) -> SessionInfo:
        """Copy a session up to an event."""
        info = self._archive.get(session_id)
        if info is None:
            raise SessionNotFoundError(f"the mock has no session {session_id!r}")
        copy = str(uuid.uuid4())
        metadata = Metadata(name=name, cwd=info.cwd, model=info.model, created_at=datetime.now(UTC))
        lines = (self._root / session_id / JOURNAL).read_bytes().splitlines(keepends=True)
        if before_event is not None:
            mark = f'"id":"{before_event}"'.encode()
            ends = [index for index, line in enumerate(lines) if mark in line]
            if not ends:
                raise SessionUnusableError(f"session {session_id!r} has no event {before_event}")
            lines = lines[: ends[0]]
        folder = self._make(copy, metadata)
        write_private(folder / JOURNAL, b"".join(lines))
        return self._archive.get(copy) or SessionInfo(id=copy, adapter=self.name, name=name)

    async def rename_session(self, session_id: str, name: str) -> None:
        """Give a session another name."""
        if self._archive.get(session_id) is None:
            raise SessionNotFoundError(f"the mock has no session {session_id!r}")
        self._change(session_id, name=name)
        self._names.forget(session_id)

    def check_equipment(self, config: AdapterConfig) -> None:
        """Its sessions take all of it, and do nothing with it (Equips)."""

    async def list_models(self) -> Sequence[str]:
        """Its one model."""
        return [_MODEL]

    def _session(self, session_id: str, config: AdapterConfig) -> MockSession:
        info = self._archive.get(session_id)
        assert info is not None, "the session was just made or found"
        session = MockSession(info, self._root / session_id, config, self._rules)
        self._open.append(session)
        return session

    def _find(self, session_id: str, name: str | None) -> SessionInfo | None:
        return self._archive.get(session_id) or self._names.find(name or session_id)

    def _make(self, session_id: str, metadata: Metadata) -> Path:
        folder = self._root / session_id
        folder.mkdir(mode=0o700, exist_ok=True)  # a killed process may have left it empty
        self._write(folder, metadata)
        return folder

    def _change(self, session_id: str, **changes: str | None) -> None:
        folder = self._root / session_id
        metadata = msgspec.json.decode((folder / METADATA).read_bytes(), type=Metadata)
        self._write(folder, msgspec.structs.replace(metadata, **changes))

    def _write(self, folder: Path, metadata: Metadata) -> None:
        write_private(folder / METADATA, msgspec.json.encode(metadata))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise SessionUnusableError(
            f"the session's working directory is not there any more: {path}",
            hint="give another one with --cwd DIR",
        )
    return path.resolve()

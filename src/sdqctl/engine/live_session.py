"""One adapter and the session a run stands in; both can be opened anew after a death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sdqctl.adapters.base import Adapter, AdapterConfig, AdapterSession, Equips, power
from sdqctl.model.session import SessionRef, session_id_for
from sdqctl.store.locks import SessionLock


class LiveSession:
    """Opens sessions under a lock. Leaving it closes the session, stops the runtime and unlocks."""

    def __init__(
        self,
        make_adapter: Callable[[], Adapter],
        config: AdapterConfig,
        *,
        home: Path,
        locks: Sequence[SessionLock],
        repository_is_unchanged: Callable[[], bool] = lambda: True,
    ) -> None:
        self._make_adapter = make_adapter
        self._home = home
        self._locks = [*locks]
        self._adapter: Adapter | None = None
        self._session: AdapterSession | None = None
        self._repository_is_unchanged = repository_is_unchanged
        self.config = config

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except asyncio.CancelledError:
            if exc is None:
                raise  # else a second signal: what ended the run is what is to be reported
        finally:
            for lock in self._locks:
                lock.close()

    @property
    def session(self) -> AdapterSession:
        """The open session."""
        if self._session is None:
            raise RuntimeError("no session is open")
        return self._session

    async def adapter(self) -> Adapter:
        """The started adapter. Its process is noted in the lock before any session is opened."""
        if self._adapter is None:
            adapter = self._make_adapter()
            await adapter.__aenter__()
            self._adapter = adapter
            for lock in self._locks:
                self._note_runtime(lock)
        return self._adapter

    def _note_runtime(self, lock: SessionLock) -> None:
        if self._adapter is not None:
            lock.note_runtime(self._adapter.runtime_pid, self._adapter.runtime_mark)

    async def create(self, name: str | None) -> AdapterSession:
        """Create a session of this name. Raises SessionExistsError."""
        adapter = await self._equipped()
        config = replace(self.config, session_name=name, resume_if_exists=False)
        self._session = await adapter.create_session(config)
        return self._session

    async def resume(self, session_id: str) -> AdapterSession:
        """Open an existing session with its history."""
        adapter = await self._equipped()
        self._session = await adapter.resume_session(session_id, self.config)
        return self._session

    async def _equipped(self) -> Adapter:
        """The adapter, which can give the session what it is to have. Raises CapabilityError."""
        adapter = await self.adapter()
        self._keep_trust()
        config = self.config
        wanted = {
            "SYSTEM": config.system_message,
            "AGENTS-DIR": config.agents,
            "SKILLS": config.skills,
            "MCP": config.servers,
            "EXCLUDE-TOOLS": config.excluded_tools,
        }
        if names := [name for name, value in wanted.items() if value]:
            power(adapter, Equips, ", ".join(names)).check_equipment(config)
        return adapter

    def _keep_trust(self) -> None:
        """Trust in a repository ends when it changes: the runtime reads it as it is by then."""
        if self.config.trust_repository and not self._repository_is_unchanged():
            self.config = replace(self.config, trust_repository=False)

    async def create_or_resume(self, session_id: str, name: str) -> AdapterSession:
        """Open a session that an earlier process may or may not have come to create.

        One in which nothing was ever stored is made again: the runtime does not open it.
        """
        adapter = await self.adapter()
        info = await adapter.get_session(session_id)
        if info is not None and info.stored:
            return await self.resume(session_id)
        if info is not None:
            await adapter.delete_session(session_id)
        return await self.create(name)

    async def move_to(self, name: str) -> AdapterSession:
        """Go on in another session, created unless an earlier process did so; lock and all."""
        session_id = session_id_for(name)
        await self._lock(SessionRef(self.session.info.adapter, session_id))
        await self.session.close()
        return await self.create_or_resume(session_id, name)

    async def _lock(self, ref: SessionRef) -> None:
        """Take a session's lock, unless it is had: a run that was killed while it moved is opened
        with the locks of both its sessions.
        """
        if not any(lock.is_for(ref) for lock in self._locks):
            lock = await SessionLock.wait_for(self._home, ref)
            self._locks.append(lock)
            self._note_runtime(lock)

    async def reopen(self, *, untouched: bool) -> AdapterSession:
        """Start a new runtime and open the same session in it.

        `untouched`: nothing was said in it yet, so that the runtime may have forgotten it.
        """
        info = self.session.info
        await self.close()
        if untouched:
            return await self.create_or_resume(info.id, info.label)
        return await self.resume(info.id)

    async def abort(self) -> None:
        """Stop the running turn, if a session is open just now."""
        if self._session is not None:
            await self._session.abort()

    async def close(self) -> None:
        """Close the session and stop the runtime, whatever state they are in."""
        session, self._session = self._session, None
        adapter, self._adapter = self._adapter, None
        try:
            if session is not None:
                await session.close()
        finally:
            if adapter is not None:
                await adapter.__aexit__(None, None, None)

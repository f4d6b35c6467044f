"""The powers that some agents have, and the kind of adapter that has those of one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sdqctl.adapters.acp.adapter import AcpAdapter
from sdqctl.adapters.acp.archive import Metadata, read_metadata, write_metadata
from sdqctl.adapters.acp.profiles import Profile
from sdqctl.adapters.folders import JOURNAL
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import (
    CapabilityError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.model.session import SessionInfo, session_id_for


class _Purging(AcpAdapter):
    """Purges."""

    async def purge_session(self, session_id: str) -> None:
        """Have the agent delete its own copy of a session that was just deleted here."""
        agent_id = self._deleted.pop(session_id, None)
        if not agent_id:
            return
        agent, _ = await self.process()
        if agent.can("delete"):
            await agent.ask(agent.request("session/delete", sessionId=agent_id), "delete it")
        else:
            await asyncio.to_thread(self._forget, agent_id)


class _Forking(AcpAdapter):
    """Forks, of whole conversations."""

    async def fork_session(
        self, session_id: str, name: str, *, before_event: str | None = None
    ) -> SessionInfo:
        """Copy a session. Raises CapabilityError for a copy that is to end before the session."""
        if before_event is not None:
            raise CapabilityError(
                f"{self.name} copies whole conversations alone, not up to a place in them",
                hint="fork without --at",
            )
        info = self._archive.get(session_id)
        if info is None:
            raise SessionNotFoundError(f"there is no {self.name} session {session_id!r}")
        known = read_metadata(self._root / session_id)
        if known.agent_id is None:
            raise SessionUnusableError(f"nothing was said in session {info.label!r} yet")
        agent, client = await self.process()
        await self._load(session_id, known, agent, client)
        forking = agent.connection.fork_session(session_id=known.agent_id, cwd=known.cwd)
        forked = await agent.ask(forking, "fork the session")
        copy = session_id_for(name)
        staged = self._archive.stage()
        journal = (self._root / session_id / JOURNAL).read_bytes()
        (staged / JOURNAL).write_bytes(journal)
        write_metadata(
            staged,
            Metadata(
                name=name,
                cwd=known.cwd,
                model=known.model,
                created_at=datetime.now(UTC),
                agent_id=forked.session_id,
                agent_version=agent.version,
            ),
        )
        self._archive.install(staged, copy, name=name, cwd=known.cwd)
        await agent.end()
        return self._archive.get(copy) or SessionInfo(id=copy, adapter=self.name, name=name)


class _ForkingAndPurging(_Forking, _Purging):
    """Both."""


_KINDS = {
    (False, False): AcpAdapter,
    (False, True): _Purging,
    (True, False): _Forking,
    (True, True): _ForkingAndPurging,
}


def adapter_for(name: str, profile: Profile, settings: AdapterSettings) -> AcpAdapter:
    """An adapter, not started, with the powers that the profile gives its agent."""
    kind = _KINDS[profile.forks, profile.deletes or bool(profile.forget)]
    return kind(name, profile, settings)

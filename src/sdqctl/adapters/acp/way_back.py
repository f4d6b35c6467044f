"""Taking the last prompt out of a conversation, on an agent that copies conversations (Rewinds).

No agent takes a prompt out over the protocol. So a copy is made before each prompt is sent, and the
session goes on in that copy when the prompt is to be gone. The other conversation stays with the
agent as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from sdqctl.adapters.acp.archive import Metadata, WayBack, finish_cut, write_metadata
from sdqctl.adapters.acp.process import AgentRefusedError
from sdqctl.adapters.acp.session import AcpSession
from sdqctl.adapters.journal import find_turn, read_turns
from sdqctl.errors import SdqctlError, StepError
from sdqctl.model.run import TurnBegun
from sdqctl.model.session import Turn
from sdqctl.process import commit_point


class RewindingSession(AcpSession):
    """AdapterSession, Rewinds and ReadsHistory."""

    metadata: Metadata
    """What the adapter opened it with, and writes at each start of the agent."""
    forget: Callable[[str], None] | None = None
    """Has the agent's program delete a conversation, where it does not over the protocol."""

    async def history(self) -> Sequence[Turn]:
        """The turns of our journal, which was held against the agent's."""
        return list(read_turns(self._journal))

    def rewind_problem(self, to: TurnBegun) -> str | None:
        """A copy is kept of the conversation before the last prompt alone."""
        turn, back = find_turn(self._journal, to), self.metadata.way_back
        if turn is None or (back is not None and back.message_id == turn.message_id):
            return None
        return f"{self.info.adapter} has no copy of the conversation before it"

    async def rewind(self, to: TurnBegun) -> None:
        """Go on in the copy. The journal is cut after the copy is the session's: what is cut off in
        between is done when the session is opened.
        """
        turn, back = find_turn(self._journal, to), self.metadata.way_back
        if turn is None or turn.event_id is None:
            return
        if back is None or (problem := self.rewind_problem(to)):
            raise StepError(problem or "there is no copy of the conversation before it")
        await self.abort()
        self.metadata.agent_id, self.metadata.way_back = back.agent_id, None
        self.metadata.cut = turn.event_id
        self._keep()
        commit_point("acp.rewind")
        await self._agent.end()
        finish_cut(self._journal.parent, self.metadata)
        self._use(await self._connect())

    async def _before(self, message_id: str) -> None:
        """Copy the conversation, before the prompt stands in the journal."""
        self._drop_way_back()
        copy: str | None = None
        if any(True for _ in read_turns(self._journal)):
            asking = self._agent.connection.fork_session(
                session_id=self._agent_id, cwd=self.metadata.cwd
            )
            try:
                copy = (await self._agent.ask(asking, "copy the conversation")).session_id
            except AgentRefusedError:
                self._keep()
                return
            self._client.others.add(copy)
        self.metadata.way_back = WayBack(message_id=message_id, agent_id=copy)
        self._keep()

    async def close(self) -> None:
        """Delete the copies that are not needed any more, and release the session."""
        last = next(reversed(list(read_turns(self._journal))), None)
        if last is None or last.finished:
            self._drop_way_back()
        with suppress(SdqctlError):
            await self._delete_copies()
        await super().close()

    async def _delete_copies(self) -> None:
        for copy in tuple(self.metadata.copies):
            if self._agent.can("delete"):
                await self._agent.ask(
                    self._agent.request("session/delete", sessionId=copy), "delete a copy"
                )
            elif self.forget is not None:
                await asyncio.to_thread(self.forget, copy)
            self.metadata.copies.remove(copy)
            self._keep()

    def _drop_way_back(self) -> None:
        back, self.metadata.way_back = self.metadata.way_back, None
        if back is not None and back.agent_id is not None:
            self.metadata.copies.append(back.agent_id)

    def _keep(self) -> None:
        write_metadata(self._journal.parent, self.metadata)

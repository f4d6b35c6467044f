"""One live session of the Copilot runtime."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdqctl.adapters.base import ContextUse
from sdqctl.adapters.copilot.compaction import compact
from sdqctl.adapters.copilot.events import Refused, TurnTranslator
from sdqctl.adapters.copilot.process import POLL, RuntimeProcess, listen
from sdqctl.adapters.copilot.steering import Steering
from sdqctl.adapters.journal import TurnCounter, find_turn, read_turns, turn_outcome
from sdqctl.adapters.streams import caught_up
from sdqctl.errors import RuntimeFailure, SdqctlError, StepError
from sdqctl.model.events import (
    FailureKind,
    PermissionDecided,
    PromptAccepted,
    PromptStored,
    TurnEvent,
    TurnFailed,
    TurnProgress,
    Warned,
)
from sdqctl.model.run import TurnBegun, TurnOutcome
from sdqctl.model.sandbox import Sandbox
from sdqctl.model.session import SessionInfo, Turn
from sdqctl.model.tools import ToolDecision, ToolRequest
from sdqctl.offspring import end_offspring, moment

if TYPE_CHECKING:
    from copilot import CopilotClient
    from copilot.generated.session_events import SessionEvent
    from copilot.session import CopilotSession as SdkSession

_LOG = logging.getLogger(__name__)
_SETTLE = 5.0
"""Seconds that a failed turn, or an abort, is given to become idle."""
_MOST_WAITING = 20_000
"""Events that may wait to be taken; ordinarily there are a few."""
_SESSION = "COPILOT_AGENT_SESSION_ID"
"""The runtime's variable in its tools' environment: the session they work for."""


class CopilotSession:
    """AdapterSession and the powers of a session, over one of the SDK."""

    def __init__(
        self, sdk: SdkSession, info: SessionInfo, process: RuntimeProcess, client: CopilotClient
    ) -> None:
        self._sdk = sdk
        self._info = info
        self._process = process
        self._client = client
        self._journal: Path | None = None
        self._counter: TurnCounter | None = None
        self._refused: Refused = lambda text: ()
        self._queue: asyncio.Queue[SessionEvent | PermissionDecided] | None = None
        self._overflowed = False
        self._turn_id = ""
        self._closed = False
        self._turn_began = 0.0
        self._warnings: list[str] = []
        self._expected: dict[str, object] | None = None
        self._attached: list[Any] = []
        self._steering: Steering | None = None

    @property
    def info(self) -> SessionInfo:
        """The session as it was when it was opened."""
        return self._info

    def bind_sandbox(self, sandbox: Sandbox, folder: Path) -> None:
        """Tell in which net the tools are, and where they work."""
        self._refused = lambda text: [(sandbox.kind, r) for r in sandbox.refusals(text, folder)]

    def bind_journal(self, path: Path) -> None:
        """Tell where the session's journal lies."""
        self._journal = path

    def steer(self, options: Mapping[str, Any], *, unsure: bool) -> None:
        """Tell what it was opened with, and whether it may have been left otherwise."""
        self._steering = Steering(self._sdk, self._process, options, unsure=unsure)

    def warn(self, message: str) -> None:
        """Have the next turn report a warning."""
        self._warnings.append(message)

    def told(self, request: ToolRequest, decision: ToolDecision) -> None:
        """Put a permission decision into the running turn's stream."""
        event = PermissionDecided(
            turn_id=self._turn_id,
            kind=request.kind,
            target=request.target,
            allowed=decision.allowed,
            reason=decision.reason,
            by=decision.by,
            why=decision.why,
            rules=decision.rules,
            mode=decision.mode,
            tool_call_id=request.tool_call_id,
        )
        if self._queue is not None:
            self._put(self._queue, event)

    async def caught_up(self) -> None:
        """Wait until what was heard is told."""
        await caught_up(self._queue)

    def _put(
        self,
        queue: asyncio.Queue[SessionEvent | PermissionDecided],
        event: SessionEvent | PermissionDecided,
    ) -> None:
        if queue.full():
            self._overflowed = True
        else:
            queue.put_nowait(event)

    async def flush(self) -> None:
        """Have the journal written now; until then a killed runtime forgets the prompt."""
        from copilot.generated import rpc

        request = rpc.SessionsSaveRequest(session_id=self._info.id)
        await self._process.ask(self._client.rpc.sessions.save(request), "store the session")

    async def mcp_servers(self) -> list[str]:
        """The names of the session's MCP servers."""
        found = await self._process.ask(self._sdk.rpc.mcp.list(), "list its MCP servers")
        return [server.name for server in found.servers]

    async def failed_servers(self) -> list[str]:
        """The MCP servers that did not start."""
        found = await self._process.ask(self._sdk.rpc.mcp.list(), "list its MCP servers")
        return [server.name for server in found.servers if server.status.value == "failed"]

    def journal_position(self) -> int:
        """How many turns the journal holds."""
        if self._counter is None:
            self._counter = TurnCounter(self._path)
        return self._counter.count()

    async def send(self, prompt: str, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        """Send a prompt and yield what happens until the session is idle again."""
        translator = TurnTranslator(turn_id, self._refused)
        queue: asyncio.Queue[SessionEvent | PermissionDecided] = asyncio.Queue(_MOST_WAITING)
        self._queue, self._turn_id, self._overflowed = queue, turn_id, False
        self._turn_began = moment()
        loop, here = asyncio.get_running_loop(), threading.get_ident()

        def hear(event: SessionEvent) -> None:
            if threading.get_ident() == here:  # where the SDK calls it
                self._put(queue, event)
            else:
                loop.call_soon_threadsafe(self._put, queue, event)

        unsubscribe = listen(self._sdk, self._process, hear)
        try:
            failure = await self._submit(prompt, translator)
            if failure is not None:
                yield failure
                return
            yield PromptAccepted(turn_id=turn_id, message_id=translator.message_id or "")
            while self._warnings:
                yield Warned(message=self._warnings.pop(0))
            async for event in self._follow(queue, translator):
                yield event
            yield translator.end()
        finally:
            unsubscribe()
            self._queue = None

    def expect(self, schema: dict[str, object]) -> bool:
        """Have the next answer be JSON of this schema. Providers want an object at the top."""
        if schema.get("type") != "object":
            return False
        self._expected = schema
        return True

    def attach(self, files: Sequence[Path]) -> None:
        """Have the next prompt go with files. Without `displayName` the session would be lost: the
        runtime does not read its own journal then.
        """
        self._attached = [
            {"type": "file", "path": str(path), "displayName": path.name} for path in files
        ]

    async def switch_model(self, model: str | None, effort: str | None) -> None:
        """Have the next prompts run with another model or effort."""
        await self._steered.switch_model(model, effort)

    async def select_agent(self, name: str | None) -> None:
        """Have the next prompts run as a custom agent."""
        await self._steered.select_agent(name)

    async def limit_tools(self, only: Sequence[str] | None) -> None:
        """Have the next prompts run with fewer tools."""
        for name in await self._steered.limit_tools(only):
            self.warn(f"TOOLS: {name} is not there: nothing allows what it does")

    @property
    def _steered(self) -> Steering:
        if self._steering is None:
            raise RuntimeError("what steers the session was not given")
        return self._steering

    async def _submit(self, prompt: str, translator: TurnTranslator) -> TurnFailed | None:
        expected, self._expected = self._expected, None
        attached, self._attached = self._attached, []
        try:
            call = self._sdk.send(prompt, attachments=attached or None, response_schema=expected)
            translator.message_id = await self._process.call(call)
        except RuntimeFailure:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions
            self._process.check()
            return _not_sent(translator, error)
        return None

    async def _follow(
        self, queue: asyncio.Queue[SessionEvent | PermissionDecided], translator: TurnTranslator
    ) -> AsyncIterator[TurnEvent]:
        stored = False
        quiet = 0.0
        while not translator.idle:
            try:
                event = await _next(queue)
            except TimeoutError:
                self._process.check()
                quiet += POLL
                if translator.failed and quiet >= _SETTLE:
                    return
                continue
            quiet = 0.0
            if self._overflowed:
                raise RuntimeFailure("the Copilot runtime sends events faster than they are taken")
            for ours in _translated(event, translator):
                yield ours
            if translator.arrived and not stored:
                stored = True
                await self.flush()
                yield PromptStored(turn_id=self._turn_id, message_id=translator.message_id or "")
            queue.task_done()

    async def find_turn(self, begun: TurnBegun) -> TurnOutcome | None:
        """Look the prompt up in the journal, by its message id, else by its text."""
        turn = find_turn(self._path, begun)
        return None if turn is None else turn_outcome(turn)

    def rewind_problem(self, to: TurnBegun) -> str | None:
        """Every turn can be taken out."""
        return None

    async def rewind(self, to: TurnBegun) -> None:
        """Take the prompt and what follows out of the context; the runtime shortens its journal."""
        from copilot.generated import rpc

        turn = find_turn(self._path, to)
        if turn is None or turn.event_id is None:
            return
        await self.abort()
        request = rpc.HistoryRewindRequest(
            event_id=turn.event_id, mode=rpc.HistoryRewindMode.CONVERSATION
        )
        result = await self._process.ask(
            self._sdk.rpc.history.rewind(request), "rewind the session"
        )
        if result.outcome is not rpc.HistoryRewindOutcome.SUCCESS:
            raise StepError(f"the runtime could not rewind the session: {result.outcome.value}")
        await self.flush()

    async def abort(self) -> None:
        """Stop the running turn or compaction; then nothing runs in the session, nor its tools."""
        if self._closed:
            return
        idle = asyncio.Event()
        loop = asyncio.get_running_loop()

        def watch(event: SessionEvent) -> None:
            if event.type.value == "session.idle":
                loop.call_soon_threadsafe(idle.set)

        unsubscribe = listen(self._sdk, self._process, watch)
        try:
            if not await self._is_processing():
                await self._process.call(self._sdk.rpc.history.abort_manual_compaction())
                return
            await self._process.call(self._sdk.abort())
            await self._settle(idle)
            await self._end_tools()
        except SdqctlError:
            raise
        except Exception as error:
            raise RuntimeFailure(f"the turn could not be aborted: {error}") from error
        finally:
            unsubscribe()

    async def _settle(self, idle: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(_SETTLE):
                await idle.wait()
        except TimeoutError:
            _LOG.warning("the session was not idle %s s after an abort", _SETTLE)

    async def _end_tools(self) -> None:
        """End what the turn's tools started and the runtime did not end: they left its reach."""
        if self._process.mark is not None:
            await asyncio.to_thread(
                end_offspring,
                self._process.mark,
                having={_SESSION: self._info.id},
                since=self._turn_began,
            )

    async def close(self) -> None:
        """Release the session; closing twice, or after the runtime's death, is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._process.call(self._sdk.disconnect())
        except Exception as error:  # noqa: BLE001 - nothing is left to close then
            _LOG.debug("disconnect: %s", error)

    async def history(self) -> Sequence[Turn]:
        """The turns that stand in the journal."""
        try:
            return list(read_turns(self._path))
        except OSError:
            return []

    async def compact(
        self, instructions: str | None = None, *, turn_id: str
    ) -> AsyncIterator[TurnEvent]:
        """The runtime's own compaction; it calls the model. An empty session is left as it is."""
        async with aclosing(compact(self._sdk, self._process, instructions, turn_id)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def context_use(self) -> ContextUse | None:
        """The runtime's own figures, None before it has any."""
        from copilot.generated import rpc

        request = rpc.MetadataContextInfoRequest(prompt_token_limit=0, output_token_limit=0)
        found = await self._process.ask(
            self._sdk.rpc.metadata.context_info(request), "tell how full the context is"
        )
        info = found.context_info
        return ContextUse(used=info.total_tokens, limit=info.limit) if info is not None else None

    @property
    def _path(self) -> Path:
        if self._journal is None:
            raise RuntimeError("the journal's place was not reported")
        return self._journal

    async def _is_processing(self) -> bool:
        found = await self._process.ask(
            self._sdk.rpc.metadata.is_processing(), "tell whether a turn runs"
        )
        return found.processing


async def _next(
    queue: asyncio.Queue[SessionEvent | PermissionDecided],
) -> SessionEvent | PermissionDecided:
    """The next event. Raises TimeoutError when none comes for POLL seconds."""
    with suppress(asyncio.QueueEmpty):
        return queue.get_nowait()
    async with asyncio.timeout(POLL):  # wait_for loses a cancellation (before 3.12)
        return await queue.get()


def _translated(
    event: SessionEvent | PermissionDecided, translator: TurnTranslator
) -> Sequence[TurnEvent]:
    if isinstance(event, PermissionDecided):
        return (event,)
    return translator.translate(event) or (TurnProgress(turn_id=translator.turn_id),)


def _not_sent(translator: TurnTranslator, error: Exception) -> TurnFailed:
    """A prompt that the runtime did not take. Without an account it says so here."""
    message = str(error)
    signed_out = "No GitHub OAuth token" in message or "Not authenticated" in message
    kind = FailureKind.AUTHENTICATION if signed_out else FailureKind.REQUEST
    return TurnFailed(turn_id=translator.turn_id, kind=kind, message=message)

"""One open session of an agent."""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdqctl.adapters.acp.client import AgentClient, Update
from sdqctl.adapters.acp.process import AUTH_REQUIRED, AgentProcess
from sdqctl.adapters.acp.profiles import Profile
from sdqctl.adapters.acp.questions import answers, reply
from sdqctl.adapters.acp.requests import answer, can_allow_once, permission_request
from sdqctl.adapters.acp.turn import AgentTurn
from sdqctl.adapters.base import AdapterConfig
from sdqctl.adapters.folders import JOURNAL, mark_in_use
from sdqctl.adapters.journal import ABORTED, TurnCounter, find_turn, read_turns, turn_outcome
from sdqctl.adapters.journal_writer import write_event
from sdqctl.adapters.streams import caught_up
from sdqctl.errors import SdqctlError
from sdqctl.model.events import (
    FailureKind,
    PermissionDecided,
    PromptAccepted,
    PromptStored,
    TurnEvent,
)
from sdqctl.model.run import TurnBegun, TurnOutcome
from sdqctl.model.session import SessionInfo
from sdqctl.model.tools import AsksHumans, ToolDecision, ToolKind, ToolRequest, evaluate

if TYPE_CHECKING:
    from acp.schema import (
        AcceptElicitationResponse,
        DeclineElicitationResponse,
        PermissionOption,
        PromptResponse,
        RequestPermissionResponse,
    )

_LOG = logging.getLogger(__name__)
_ABORT = 5.0
"""Seconds that an agent is given to end a turn that was cancelled; seven took at most 0.1."""
_AGAIN = 0.5
"""Seconds after which it is told again: Copilot 1.0.102 passes over a cancel that overtakes the
beginning of its turn."""
_CLOSE = 2.0


@dataclass(frozen=True)
class Line:
    """A process of the agent that has a session loaded, under the agent's own id of it."""

    agent: AgentProcess
    client: AgentClient
    agent_id: str


class AcpSession:
    """AdapterSession. The agent's process is the session's own."""

    def __init__(
        self,
        info: SessionInfo,
        folder: Path,
        line: Line,
        *,
        connect: Callable[[], Awaitable[Line]],
        profile: Profile,
        config: AdapterConfig,
    ) -> None:
        """`connect` loads the session in a new process."""
        self._info = info
        self._journal = folder / JOURNAL
        self._connect = connect
        self._profile = profile
        self._policy, self._ask_user = config.policy, config.ask_user
        self._marker = mark_in_use(folder)
        self._counter = TurnCounter(self._journal)
        self._cost = sum(turn.usage.cost for turn in read_turns(self._journal))
        """What the session has cost by now, as far as the agent tells it."""
        self._turn: AgentTurn | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._aborting = False
        self._left = False
        """Whether whoever read the events of the turn went away."""
        self._events: asyncio.Queue[TurnEvent] = asyncio.Queue()
        self._was_cut: bool
        """Whether the agent was ended, since it went on with a turn that was aborted."""
        self._use(line)

    def _use(self, line: Line) -> None:
        self._agent, self._client, self._agent_id = line.agent, line.client, line.agent_id
        line.client.on_update = self._take
        line.client.on_permission = self._decide
        line.client.on_question = self._question
        self._was_cut = False

    @property
    def info(self) -> SessionInfo:
        """The session as it was when it was opened."""
        return self._info

    def journal_position(self) -> int:
        """How many turns the journal holds."""
        return self._counter.count()

    async def send(self, prompt: str, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        """Send a prompt. It stands in our journal before the agent is given it."""
        if self._was_cut:
            self._use(await self._connect())
        message_id = str(uuid.uuid4())
        self._events, self._aborting, self._left = asyncio.Queue(), False, False
        yield PromptAccepted(turn_id=turn_id, message_id=message_id)
        await self._before(message_id)
        self._write("user.message", content=prompt, messageId=message_id)
        self._turn = AgentTurn(
            turn_id,
            message_id,
            self._profile,
            cost_before=self._cost,
            write=self._write,
            tell=self._events.put_nowait,
        )
        self._ended.clear()
        asking = asyncio.ensure_future(self._ask(prompt))
        asking.add_done_callback(self._note_end)
        try:
            yield PromptStored(turn_id=turn_id, message_id=message_id)
            async for event in self._until(asking):
                yield event
        except (GeneratorExit, asyncio.CancelledError):  # nobody reads, and the turn goes on
            self._left = True
            raise
        for event in await self._last_events(asking):
            yield event

    async def _before(self, message_id: str) -> None:
        """Called before a prompt stands in the journal."""

    def _note_end(self, asking: asyncio.Future[PromptResponse]) -> None:
        """The agent has answered, or cannot any more; also where nobody reads the answer."""
        if not asking.cancelled():
            asking.exception()
        self._ended.set()

    async def _ask(self, prompt: str) -> PromptResponse:
        from acp.schema import TextContentBlock

        text = TextContentBlock(type="text", text=prompt)
        asking = self._agent.connection.prompt(session_id=self._agent_id, prompt=[text])
        response: PromptResponse = await asking
        return response

    async def _until(self, asking: asyncio.Future[PromptResponse]) -> AsyncIterator[TurnEvent]:
        """The events until the agent has answered, and all that came before that."""
        while not asking.done():
            getting = asyncio.ensure_future(self._events.get())
            both: set[asyncio.Future[Any]] = {getting, asking}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
                self._events.task_done()
            else:
                getting.cancel()
        while not self._events.empty():
            yield self._events.get_nowait()

    async def _last_events(self, asking: asyncio.Future[PromptResponse]) -> Sequence[TurnEvent]:
        from acp import RequestError

        turn, self._turn = self._turn, None
        assert turn is not None, "it is set when a prompt is sent"
        self._cost = turn.cost
        try:
            last = turn.finish(asking.result(), aborted=self._aborting)
        except RequestError as error:
            wants_login = error.code == AUTH_REQUIRED
            kind = FailureKind.AUTHENTICATION if wants_login else None
            last = [turn.fail(_words_of(error), kind, aborted=self._aborting)]
        except ConnectionError as error:
            if self._aborting:
                last = [turn.fail(str(error), aborted=True)]
            else:
                raise await self._agent.death() from error
        before = []
        while not self._events.empty():
            before.append(self._events.get_nowait())
        return [*before, *last]

    def _take(self, update: Update) -> None:
        if self._turn is not None:
            self._turn.take(update)

    async def _decide(
        self, request: Update, options: Sequence[PermissionOption]
    ) -> RequestPermissionResponse:
        """Ask the policy. A turn that is aborted, or none at all, allows nothing."""
        turn = self._turn
        if turn is None or self._aborting:
            return answer(options, allowed=False)
        call = turn.call_of(request)
        asked = permission_request(call)
        decision = await self._judged(asked, options)
        allowed = decision.allowed and not self._aborting
        turn.decide(call, allowed=allowed)
        self._events.put_nowait(
            PermissionDecided(
                turn_id=turn.turn_id,
                kind=asked.kind,
                target=asked.target,
                allowed=allowed,
                reason=decision.reason,
                by=decision.by,
                why=decision.why,
                rules=decision.rules,
                mode=decision.mode,
                tool_call_id=asked.tool_call_id,
            )
        )
        return answer(options, allowed=allowed)

    async def _judged(
        self, asked: ToolRequest, options: Sequence[PermissionOption]
    ) -> ToolDecision:
        try:
            if isinstance(self._policy, AsksHumans):
                await caught_up(self._events)
            decision = await evaluate(self._policy, asked)
        except Exception:  # noqa: BLE001 - a policy's bug must end in a denial
            _LOG.exception("the tool policy failed; the request is denied")
            return ToolDecision(False, "the policy failed")
        if decision.allowed and not can_allow_once(options):
            return ToolDecision(False, "the agent does not offer to allow it for this once")
        return decision

    async def _question(
        self, message: str, form: Update
    ) -> AcceptElicitationResponse | DeclineElicitationResponse:
        """Ask the user what the agent asks; where nobody is, or nothing is said, decline."""
        content = None
        if self._ask_user is not None:
            await caught_up(self._events)
        if self._ask_user is not None and self._turn is not None and not self._aborting:
            try:
                content = answers(message, form, self._ask_user)
            except asyncio.CancelledError:  # Ctrl-C while a line was awaited: it is the run's
                signal.raise_signal(signal.SIGINT)
        if self._turn is not None:
            self._events.put_nowait(
                PermissionDecided(
                    turn_id=self._turn.turn_id,
                    kind=ToolKind.OTHER,
                    target=f"question: {' '.join(message.split())}",
                    allowed=content is not None,
                    reason="answered" if content is not None else "nobody answered",
                    by="the user" if content is not None else "",
                    why="answered" if content is not None else "nobody answered",
                )
            )
        return reply(content)

    async def find_turn(self, begun: TurnBegun) -> TurnOutcome | None:
        """Look a turn up in the journal, which was held against the agent's at the resume."""
        turn = find_turn(self._journal, begun)
        return None if turn is None else turn_outcome(turn)

    async def abort(self) -> None:
        """Cancel the running turn; an agent that goes on with it is ended."""
        if self._ended.is_set():
            self._end_open_turn()
            return
        self._aborting = True
        try:
            async with asyncio.timeout(_ABORT):
                while not self._ended.is_set():  # what comes before the turn is up is not heard
                    await self._agent.connection.cancel(session_id=self._agent_id)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_AGAIN):
                            await self._ended.wait()
        except (TimeoutError, ConnectionError):
            await self._agent.end()
            self._was_cut = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_ABORT):
                    await self._ended.wait()
        if self._left:
            self._turn = None
            self._end_open_turn()

    def _end_open_turn(self) -> None:
        turns = list(read_turns(self._journal))
        if turns and not turns[-1].finished and turns[-1].error is None:
            self._write("abort", reason=ABORTED)

    async def close(self) -> None:
        """Release the session and end its agent; the data stays."""
        if self._agent.can("close"):
            with suppress(SdqctlError):
                closing = self._agent.connection.close_session(session_id=self._agent_id)
                await self._agent.ask(closing, "close the session", _CLOSE)
        await self._agent.end()
        self._marker.unlink(missing_ok=True)

    def _write(self, kind: str, **data: object) -> None:
        write_event(self._journal, kind, data)


def _words_of(error: Any) -> str:  # noqa: ANN401 - a RequestError of the library
    """What an agent says of a failed request: its message, and the details where there are any."""
    data = error.data
    details = data.get("details") or data.get("message") if isinstance(data, Mapping) else data
    message = str(error).removeprefix("Internal error: ")
    return f"{message}: {details}" if isinstance(details, str) and details else message

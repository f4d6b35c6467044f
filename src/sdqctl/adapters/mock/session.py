"""One session of the mock: a journal, written ahead, and a scripted agent."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from sdqctl.adapters.base import AdapterConfig, ContextUse
from sdqctl.adapters.folders import JOURNAL, mark_in_use
from sdqctl.adapters.journal import ABORTED, TurnCounter, find_turn, read_turns, turn_outcome
from sdqctl.adapters.journal_writer import cut_before, write_event
from sdqctl.adapters.mock.script import Rule, default_answer, orders_of
from sdqctl.adapters.mock.tools import ToolEnd, diff_of, use_tool
from sdqctl.errors import RuntimeDiedError, StepError, UsageError
from sdqctl.fs import write_private
from sdqctl.model.events import (
    ContextChanged,
    FailureKind,
    MessageAdded,
    PermissionDecided,
    PromptAccepted,
    PromptStored,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    UsageReported,
)
from sdqctl.model.followup import is_correction, quoted_prompt
from sdqctl.model.run import TurnBegun, TurnOutcome
from sdqctl.model.session import SessionInfo, ToolCall, Turn, Usage
from sdqctl.model.tools import ToolKind, ToolRequest, evaluate
from sdqctl.model.workflow import PromptSettings
from sdqctl.process import commit_point
from sdqctl.testing.markers import Marker, chosen
from sdqctl.testing.samples import sample
from sdqctl.text.suggest import did_you_mean

_LIMIT = 128_000
_KINDS = {"read": ToolKind.READ, "write": ToolKind.WRITE, "shell": ToolKind.SHELL}
_NAMES = {"read": "view", "write": "create", "shell": "bash"}


class MockSession:
    """AdapterSession and the powers of a session."""

    def __init__(
        self, info: SessionInfo, folder: Path, config: AdapterConfig, rules: tuple[Rule, ...]
    ) -> None:
        self._info = info
        self._folder = folder
        self._config = config
        self._rules = rules
        self._journal = folder / JOURNAL
        self._counter = TurnCounter(self._journal)
        self._marker = mark_in_use(folder)
        self._aborting = asyncio.Event()
        self._turn_running = False
        self._expected: dict[str, object] | None = None
        self._runs_with = PromptSettings()
        self._attached: list[str] = []

    @property
    def info(self) -> SessionInfo:
        """The session as it was when it was opened."""
        return self._info

    def journal_position(self) -> int:
        """How many turns the journal holds."""
        return self._counter.count()

    async def send(self, prompt: str, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        """Play the script; every event is in the journal before it is reported."""
        self._aborting.clear()
        self._turn_running = True
        message_id = str(uuid.uuid4())
        turn = _Turn(turn_id, message_id, self._orders(prompt))
        try:
            yield PromptAccepted(turn_id=turn_id, message_id=message_id)
            commit_point("mock.accepted")
            self._write("user.message", content=prompt, messageId=message_id, **self._extra())
            commit_point("mock.stored")
            yield PromptStored(turn_id=turn_id, message_id=message_id)
            self._write("assistant.turn_start", turnId="0")
            async for event in self._play(turn, prompt):
                yield event
        finally:
            self._turn_running = False

    def expect(self, schema: dict[str, object]) -> bool:
        """Answer the next prompt with JSON of this schema."""
        self._expected = schema
        return True

    async def switch_model(self, model: str | None, effort: str | None) -> None:
        """Note the model and the effort."""
        self._runs_with = replace(self._runs_with, model=model, reasoning_effort=effort)

    async def select_agent(self, name: str | None) -> None:
        """Note the agent; it is one of the folders that hold agents."""
        known = sorted(self._config.agents)
        if name is not None and name not in known:
            raise StepError(f"AGENT {name}: there is no such agent{did_you_mean(name, known)}")
        self._runs_with = replace(self._runs_with, agent=name)

    async def limit_tools(self, only: Sequence[str] | None) -> None:
        """Leave some of its three tools."""
        for name in only or ():
            if name not in _NAMES.values():
                near = did_you_mean(name, _NAMES.values())
                raise StepError(f"TOOLS: there is no tool {name}{near}")
        self._runs_with = replace(self._runs_with, tools=None if only is None else tuple(only))

    def attach(self, files: Sequence[Path]) -> None:
        """Note the files that go with the next prompt."""
        self._attached = [str(path) for path in files]

    def _extra(self) -> dict[str, object]:
        """What a prompt ran with, for the journal: only what was asked for."""
        config = self._config
        found = msgspec.to_builtins(self._runs_with)
        found |= {
            "system": config.system_message,
            "agents": sorted(config.agents),
            "skills": [folder.name for folder in config.skills],
            "servers": [server.name for server in config.servers],
            "excluded": config.excluded_tools,
        }
        asked = {name: value for name, value in found.items() if value}
        if self._attached:
            asked["attachments"], self._attached = self._attached, []
        return {"runsWith": asked} if asked else {}

    def _has_tool(self, name: str) -> bool:
        only = self._runs_with.tools
        return name not in self._config.excluded_tools and (only is None or name in only)

    def _orders(self, prompt: str) -> list[Marker]:
        """What a prompt orders; of one that is quoted to be finished, what was not done yet."""
        if is_correction(prompt):
            turns = [turn.prompt for turn in read_turns(self._journal)]
            prompt = next((text for text in reversed(turns) if not is_correction(text)), prompt)
        asked = quoted_prompt(prompt)
        if asked is None:
            return orders_of(prompt, self._rules)
        done = sum(
            call.ok is not None
            for turn in read_turns(self._journal)
            if asked in (turn.prompt, quoted_prompt(turn.prompt))
            for call in turn.tools
        )
        left = []
        for order in orders_of(asked, self._rules):
            if order.name == "tool" and done > 0:
                done -= 1
            else:
                left.append(order)
        return left

    async def _play(self, turn: _Turn, prompt: str) -> AsyncIterator[TurnEvent]:
        for order in turn.orders:
            if order.name == "delay":
                await self._wait(float(order.value))
            elif order.name == "stall":
                await self._aborting.wait()
            elif order.name == "die" and self._is_due(order):
                raise RuntimeDiedError("the mock runtime died, as it was told")
            elif order.name == "tool":
                async for event in self._use_tool(turn, order):
                    yield event
            elif order.name == "fail" and self._is_due(order):
                yield self._fail(turn, FailureKind(order.value), f"scripted: {order.value}")
                return
            if self._aborting.is_set():
                self._write("abort", reason="user_initiated")
                yield self._failed(turn, FailureKind.ABORTED, "the turn was aborted")
                return
        for event in self._answer(turn, prompt):
            yield event

    def _answer(self, turn: _Turn, prompt: str) -> list[TurnEvent]:
        reply = chosen(turn.orders, self._is_due)
        text = self._unordered(prompt) if reply is None else reply
        self._expected = None
        if any(order.name == "empty" for order in turn.orders):
            return [self._fail(turn, FailureKind.EMPTY, "the model gave no answer")]
        turn.usage = Usage(
            input_tokens=len(prompt) // 4,
            output_tokens=len(text) // 4,
            model_calls=1,
            cost=sum(float(order.value) for order in turn.orders if order.name == "cost"),
        )
        self._write(
            "session.usage_record",
            usage={
                "inputTokens": turn.usage.input_tokens,
                "outputTokens": turn.usage.output_tokens,
                "cost": turn.usage.cost,
            },
        )
        self._write(
            "assistant.message",
            content=text,
            toolRequests=[],
            originatingMessageId=turn.message_id,
        )
        self._write("assistant.turn_end", turnId="0")
        commit_point("mock.answered")
        deltas: list[TurnEvent] = []
        if self._config.streaming:
            deltas = [
                TextDelta(turn_id=turn.id, text=word) for word in re.findall(r"\S+\s*|\s+", text)
            ]
        return [
            *deltas,
            UsageReported(turn_id=turn.id, usage=turn.usage),
            MessageAdded(turn_id=turn.id, text=text, final=True),
            TurnFinished(
                turn_id=turn.id,
                response=text,
                message_id=turn.message_id,
                tools=tuple(turn.tools),
                usage=turn.usage,
            ),
        ]

    def _unordered(self, prompt: str) -> str:
        """The answer that nobody ordered: of the structure that is expected, else words."""
        if self._expected is not None:
            return json.dumps(sample(self._expected))
        return default_answer(prompt, self._counter.count())

    async def _use_tool(self, turn: _Turn, order: Marker) -> AsyncIterator[TurnEvent]:
        what, _, rest = order.value.partition(" ")
        if what not in _NAMES:
            raise UsageError(f"[[tool: {order.value}]]: the mock's tools are {', '.join(_NAMES)}")
        target = rest.split(" ", 1)[0] if what == "write" else rest
        call = ToolCall(id=f"call-{len(turn.tools)}-{turn.id}", name=_NAMES[what], summary=target)
        self._write(
            "tool.execution_start",
            toolCallId=call.id,
            toolName=call.name,
            arguments={"path" if what != "shell" else "command": target},
        )
        commit_point("mock.tool.before")
        yield ToolStarted(turn_id=turn.id, call=call)
        folder = Path(self._info.cwd or ".")
        detail = diff_of(rest, folder) if what == "write" else ""
        request = ToolRequest(kind=_KINDS[what], target=target, detail=detail, tool_call_id=call.id)
        decision = await evaluate(self._config.policy, request)
        yield PermissionDecided(
            turn_id=turn.id,
            kind=request.kind,
            target=target,
            allowed=decision.allowed,
            reason=decision.reason,
            by=decision.by,
            why=decision.why,
            rules=decision.rules,
            mode=decision.mode,
            tool_call_id=call.id,
        )
        done = ToolEnd(ok=False)
        if decision.allowed and self._has_tool(call.name):
            done = await asyncio.to_thread(use_tool, what, rest, folder)
        call = done.of(call, denied=not decision.allowed)
        turn.tools.append(call)
        error = None if decision.allowed else {"message": decision.reason, "code": "denied"}
        self._write(
            "tool.execution_complete",
            toolCallId=call.id,
            success=done.ok,
            error=error,
            **done.report(),
        )
        commit_point("mock.tool.after")
        yield ToolFinished(turn_id=turn.id, call=call)

    def _fail(self, turn: _Turn, kind: FailureKind, message: str) -> TurnFailed:
        self._write("assistant.turn_end", turnId="0")
        self._write("session.error", message=message, originatingMessageId=turn.message_id)
        return self._failed(turn, kind, message)

    def _failed(self, turn: _Turn, kind: FailureKind, message: str) -> TurnFailed:
        return TurnFailed(
            turn_id=turn.id,
            kind=kind,
            message=message,
            message_id=turn.message_id,
            tools=tuple(turn.tools),
        )

    async def find_turn(self, begun: TurnBegun) -> TurnOutcome | None:
        """Look a turn up in the journal."""
        turn = find_turn(self._journal, begun)
        return None if turn is None else turn_outcome(turn)

    def rewind_problem(self, to: TurnBegun) -> str | None:
        """Every turn can be taken out."""
        return None

    async def rewind(self, to: TurnBegun) -> None:
        """Cut the journal before the turn's prompt, by rename."""
        if self._turn_running:
            raise StepError("the session is busy; abort the turn first")
        turn = find_turn(self._journal, to)
        if turn is None or turn.event_id is None:
            return
        cut_before(self._journal, turn.event_id, lambda: commit_point("mock.rewind"))

    async def abort(self) -> None:
        """Stop the running turn; a consumer that went away has its turn ended here."""
        if self._turn_running:
            self._aborting.set()
            await asyncio.sleep(0)
            return
        turns = list(read_turns(self._journal))
        if turns and not turns[-1].finished and turns[-1].error is None:
            self._write("abort", reason=ABORTED)

    async def close(self) -> None:
        """Release the session."""
        self._marker.unlink(missing_ok=True)

    async def history(self) -> Sequence[Turn]:
        """The turns that stand in the context."""
        return list(read_turns(self._journal))

    async def compact(
        self, instructions: str | None = None, *, turn_id: str
    ) -> AsyncIterator[TurnEvent]:
        """Mark the context as compacted: what stands before no longer counts."""
        use = await self.context_use()
        count = len(await self.history())
        self._write("session.compaction_complete", customInstructions=instructions)
        summary = f"The mock's summary of {count} turns."
        after = len(summary) // 4
        yield ContextChanged(
            turn_id=turn_id, what="compaction", tokens_before=use.used, tokens_after=after
        )
        yield TurnFinished(turn_id=turn_id, response=summary)

    async def context_use(self) -> ContextUse:
        """A quarter of the journal's characters since the last compaction."""
        data = self._journal.read_bytes()
        start = max(data.rfind(b'"session.compaction_complete"'), 0)
        return ContextUse(used=(len(data) - start) // 4, limit=_LIMIT)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._aborting.wait()
        except TimeoutError:
            return

    def _is_due(self, order: Marker) -> bool:
        """Whether an order with a count still holds; counts outlive the process."""
        if order.times is None:
            return True
        path = self._folder / "counts.json"
        counts = (
            msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}
        )
        counts[order.key] = counts.get(order.key, 0) + 1
        write_private(path, msgspec.json.encode(counts))
        return counts[order.key] <= order.times

    def _write(self, kind: str, **data: object) -> None:
        write_event(self._journal, kind, data)


class _Turn:
    def __init__(self, turn_id: str, message_id: str, orders: list[Marker]) -> None:
        self.id = turn_id
        self.message_id = message_id
        self.orders = orders
        self.tools: list[ToolCall] = []
        self.usage = Usage()

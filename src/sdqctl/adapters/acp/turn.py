"""One turn of an agent: what it says becomes events, and lines of the session's journal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.adapters.acp.profiles import Profile
from sdqctl.adapters.acp.requests import summary_of
from sdqctl.model.events import (
    FailureKind,
    MessageAdded,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnProgress,
    UsageReported,
)
from sdqctl.model.session import ToolCall, Usage

if TYPE_CHECKING:
    from acp.schema import PromptResponse

_SUMMARY = 200
_ENDED = ("completed", "failed")
_STATUS = re.compile(r"\b([45]\d\d)\b")
_KIND_OF_STATUS = {401: FailureKind.AUTHENTICATION, 403: FailureKind.AUTHENTICATION}
_OF_THE_NETWORK = ("econn", "network", "fetch failed", "stream disconnected")

Write = Callable[..., None]
"""Appends an event of the journal: its type, and its data by keyword."""


class AgentTurn:
    """Takes the updates of one turn in their order. `tell` is given the events."""

    def __init__(
        self,
        turn_id: str,
        message_id: str,
        profile: Profile,
        *,
        cost_before: float,
        write: Write,
        tell: Callable[[TurnEvent], None],
    ) -> None:
        self.turn_id = turn_id
        self.message_id = message_id
        self._profile = profile
        self._write = write
        self._tell = tell
        self._text = ""
        """Of the message that is being said."""
        self._answer = ""
        """The last message that was no notice."""
        self._calls: dict[str, dict[str, Any]] = {}
        self._tools: dict[str, ToolCall] = {}
        self._denied: set[str] = set()
        self._cost_before = self.cost = cost_before
        """`cost`: what the session has cost by now, as the agent says."""

    def take(self, update: Mapping[str, Any]) -> None:
        """Take in an update."""
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                self._say(update.get("content") or {})
            case "tool_call" | "tool_call_update":
                self._end_message()
                self._tool(update)
            case "usage_update":
                amount = (update.get("cost") or {}).get("amount")
                self.cost = self.cost if amount is None else float(amount)
            case "agent_thought_chunk" | "plan":
                self._tell(TurnProgress(turn_id=self.turn_id))

    def call_of(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A tool call as it is known by now, with what a request says of it."""
        known = self._calls.get(str(request.get("toolCallId")), {})
        raw = {**(known.get("rawInput") or {}), **(request.get("rawInput") or {})}
        said = {name: value for name, value in request.items() if value not in (None, "", [])}
        return {**known, **said, "rawInput": raw}

    def decide(self, request: Mapping[str, Any], *, allowed: bool) -> None:
        """Note how a request was answered, before the agent knows it."""
        self._end_message()
        self._tool({**request, "status": "pending"})
        if not allowed:
            self._denied.add(str(request.get("toolCallId")))

    def finish(self, response: PromptResponse, *, aborted: bool) -> list[TurnEvent]:
        """The last events, by how the agent says that the turn ended."""
        self._end_message()
        usage = _usage(response, max(0.0, self.cost - self._cost_before))
        self._write_usage(usage)
        if aborted:
            return [self._abort()]
        if response.stop_reason not in ("end_turn", "cancelled"):
            return [self._fail(FailureKind.MODEL, f"the agent stopped: {response.stop_reason}")]
        if failure := _failure_in(response, self._profile.failed):
            return [self._fail(_kind_of(failure), failure)]
        if self._profile.failure and re.search(self._profile.failure, self._answer):
            return [self._fail(_kind_of(self._answer), self._answer.splitlines()[0])]
        if not self._answer and self._denied:
            self._add_message(_after_refusal(self._tools[name] for name in self._denied))
        if not self._answer:
            return [self._fail(FailureKind.EMPTY, "the agent gave no answer")]
        self._write("assistant.turn_end", turnId="0")
        finished = TurnFinished(
            turn_id=self.turn_id,
            response=self._answer,
            message_id=self.message_id,
            tools=tuple(self._tools.values()),
            usage=usage,
        )
        return [UsageReported(turn_id=self.turn_id, usage=usage), finished]

    def fail(
        self, message: str, kind: FailureKind | None = None, *, aborted: bool = False
    ) -> TurnEvent:
        """The last event of a turn whose request failed; the kind is told by the message where it
        is not known.
        """
        self._end_message()
        return self._abort() if aborted else self._fail(kind or _kind_of(message), message)

    def _say(self, content: Mapping[str, Any]) -> None:
        text = str(content.get("text") or "")
        self._text += text
        if text:
            self._tell(TextDelta(turn_id=self.turn_id, text=text))

    def _end_message(self) -> None:
        text, self._text = self._text.strip(), ""
        notice = self._profile.notice and re.search(self._profile.notice, text)
        if notice:  # a paragraph of its own, which some agents put before the model's answer
            own, _, text = text.partition("\n\n")
            self._add_message(own, is_notice=True)
        if text:
            self._add_message(text)

    def _add_message(self, text: str, *, is_notice: bool = False) -> None:
        self._answer = self._answer if is_notice else text
        self._write("assistant.message", content=text, toolRequests=[{}] if is_notice else [])
        self._tell(MessageAdded(turn_id=self.turn_id, text=text, final=not is_notice))

    def _tool(self, update: Mapping[str, Any]) -> None:
        call_id = str(update.get("toolCallId"))
        known = self._calls[call_id] = self.call_of(update)
        call = ToolCall(
            id=call_id,
            name=str(known.get("kind") or "other"),
            summary=" ".join(summary_of(known).split())[:_SUMMARY],
        )
        if call_id not in self._tools:
            self._start(call)
        elif self._tools[call_id].ok is None:
            self._tools[call_id] = call
        if update.get("status") in _ENDED and self._tools[call_id].ok is None:
            self._end(call, ok=update["status"] == "completed")

    def _start(self, call: ToolCall) -> None:
        self._answer = ""  # what was said before a tool is no answer
        self._tools[call.id] = call
        self._write(
            "tool.execution_start",
            toolCallId=call.id,
            toolName=call.name,
            arguments={"command": call.summary},
        )
        self._tell(ToolStarted(turn_id=self.turn_id, call=call))

    def _end(self, call: ToolCall, *, ok: bool) -> None:
        denied = call.id in self._denied
        ended = self._tools[call.id] = msgspec.structs.replace(call, ok=ok, denied=denied)
        error = {"message": "refused", "code": "denied"} if denied else None
        self._write("tool.execution_complete", toolCallId=call.id, success=ok, error=error)
        self._tell(ToolFinished(turn_id=self.turn_id, call=ended))

    def _write_usage(self, usage: Usage) -> None:
        self._write(
            "session.usage_record",
            usage={
                "inputTokens": usage.input_tokens,
                "outputTokens": usage.output_tokens,
                "cacheReadTokens": usage.cached_tokens,
                "cost": usage.cost,
            },
        )

    def _abort(self) -> TurnFailed:
        self._write("abort", reason="user_initiated")
        return self._failed(FailureKind.ABORTED, "the turn was aborted")

    def _fail(self, kind: FailureKind, message: str) -> TurnFailed:
        self._write("session.error", message=message, originatingMessageId=self.message_id)
        return self._failed(kind, message)

    def _failed(self, kind: FailureKind, message: str) -> TurnFailed:
        return TurnFailed(
            turn_id=self.turn_id,
            kind=kind,
            message=message,
            response=self._answer,
            message_id=self.message_id,
            tools=tuple(self._tools.values()),
        )


def _usage(response: PromptResponse, cost: float) -> Usage:
    """What a turn used. The protocol counts no model calls: a turn is told as one."""
    found = response.usage
    if found is None:
        return Usage(model_calls=1, cost=cost)
    return Usage(
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        cached_tokens=found.cached_read_tokens or 0,
        model_calls=1,
        cost=cost,
    )


def _failure_in(response: PromptResponse, place: Sequence[str]) -> str | None:
    """The failure that the end of a turn tells of in an extension; None: none."""
    found: Any = response.field_meta if place else None
    for name in place:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or found.get("severity") == "warning":
        return None
    return str(found.get("title") or "the model call failed")


def _after_refusal(refused: Iterable[ToolCall]) -> str:
    names = ", ".join(sorted({f"{call.name} {call.summary}".strip() for call in refused}))
    return f"(The agent ended its turn without an answer: {names} was refused.)"


def _kind_of(message: str) -> FailureKind:
    """What kind of failure a message tells of: agents have no codes for it."""
    found = _STATUS.search(message)
    status = int(found[1]) if found else 0
    lowered = message.casefold()
    if status == 429 or "rate limit" in lowered:
        return FailureKind.RATE_LIMIT
    if status in _KIND_OF_STATUS or "unauthorized" in lowered:
        return FailureKind.AUTHENTICATION
    if status >= 500 or "overloaded" in lowered or "high demand" in lowered:
        return FailureKind.SERVER
    if any(word in lowered for word in _OF_THE_NETWORK):
        return FailureKind.NETWORK
    return FailureKind.REQUEST if status else FailureKind.MODEL

"""From the SDK's live events to ours, for one turn (docs/copilot-findings.md, Events)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.adapters.journal import changed_lines, tool_call
from sdqctl.model.events import (
    ContextChanged,
    FailureKind,
    MessageAdded,
    ModelCallFailed,
    ModelRetried,
    NetRefused,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    UsageReported,
    Warned,
)
from sdqctl.model.sandbox import Refusal
from sdqctl.model.session import ToolCall, Usage

if TYPE_CHECKING:
    from copilot.generated.session_events import (
        AbortData,
        AssistantMessageData,
        AssistantMessageDeltaData,
        AssistantTurnRetryData,
        AssistantUsageData,
        ModelCallFailureData,
        SessionCompactionCompleteData,
        SessionErrorData,
        SessionEvent,
        SessionIdleData,
        SessionTruncationData,
        SessionWarningData,
        ToolExecutionCompleteData,
        ToolExecutionStartData,
        UserMessageData,
    )

Refused = Callable[[str], Iterable[tuple[str, Refusal]]]
"""What a net refused by a tool's result, each with the kind of the net."""
_NO_ANSWER = "the model gave no answer"


class TurnTranslator:
    """Turns the SDK's events of one turn into ours, and judges how the turn ended."""

    def __init__(self, turn_id: str, refused: Refused = lambda text: ()) -> None:
        self.turn_id = turn_id
        self._refused = refused
        self._tools: dict[str, ToolCall] = {}
        self._usage = Usage()
        self._answer = ""
        self._text = ""
        self._error: SessionErrorData | None = None
        self._aborted = False
        self.message_id: str | None = None
        self.arrived = False
        """Whether the prompt was seen in the session."""
        self.idle = False
        """Whether the session is idle again after the prompt; what it wrote is on disk then."""

    @property
    def failed(self) -> bool:
        """Whether an error or an abort was seen."""
        return self._error is not None or self._aborted

    def translate(self, event: SessionEvent) -> list[TurnEvent]:
        """Our events for one of the SDK's."""
        name = event.type.value
        data: Any = event.data  # of the class that belongs to the type
        refused = self._net_refused(data) if name == "tool.execution_complete" else []
        handler = _HANDLERS.get(name)
        if handler is None or event.agent_id:
            return refused
        found = handler(self, data)
        return refused if found is None else [*refused, found]

    def _net_refused(self, data: ToolExecutionCompleteData) -> list[TurnEvent]:
        """What the operating system's net refused a tool, also one of a sub-agent."""
        texts = (data.result and data.result.content, data.error and data.error.message)
        return [
            NetRefused(
                turn_id=self.turn_id,
                tool_call_id=data.tool_call_id,
                by=by,
                access=refusal.access,
                path=refusal.path,
                hint=refusal.hint,
            )
            for text in texts
            if text
            for by, refusal in self._refused(text)
        ]

    def end(self) -> TurnFinished | TurnFailed:
        """How the turn ended, once it is idle."""
        tools, usage = tuple(self._tools.values()), self._usage
        if self._error is None and not self._aborted and self._answer:
            return TurnFinished(
                turn_id=self.turn_id,
                response=self._answer,
                message_id=self.message_id,
                tools=tools,
                usage=usage,
            )
        kind, message, status = self._failure()
        return TurnFailed(
            turn_id=self.turn_id,
            kind=kind,
            message=message,
            status_code=status,
            response=self._text,
            message_id=self.message_id,
            tools=tools,
            usage=usage,
        )

    def _failure(self) -> tuple[FailureKind, str, int | None]:
        if self._error is not None:
            return _classify(self._error)
        if self._aborted:
            return FailureKind.ABORTED, "the turn was aborted", None
        return FailureKind.EMPTY, _NO_ANSWER, None

    def _on_user_message(self, data: UserMessageData) -> None:
        if self.message_id is not None and data.message_id == self.message_id:
            self.arrived = True

    def _on_delta(self, data: AssistantMessageDeltaData) -> TurnEvent | None:
        if data.parent_tool_call_id or not data.delta_content:
            return None
        return TextDelta(turn_id=self.turn_id, text=data.delta_content)

    def _on_message(self, data: AssistantMessageData) -> TurnEvent | None:
        if data.parent_tool_call_id or not data.content or not self._is_own(data):
            return None
        final = not data.tool_requests
        self._text = data.content
        self._answer = data.content if final else ""
        return MessageAdded(turn_id=self.turn_id, text=data.content, final=final)

    def _is_own(self, data: AssistantMessageData) -> bool:
        """Whether a message answers this turn's prompt; another client's turn may run beside it."""
        origin = data.originating_message_id
        return None in (origin, self.message_id) or origin == self.message_id

    def _on_tool_start(self, data: ToolExecutionStartData) -> TurnEvent | None:
        if data.parent_tool_call_id:
            return None
        call = tool_call(data.tool_call_id, data.tool_name, data.arguments)
        self._tools[call.id] = call
        return ToolStarted(turn_id=self.turn_id, call=call)

    def _on_tool_complete(self, data: ToolExecutionCompleteData) -> TurnEvent | None:
        known = self._tools.get(data.tool_call_id)
        if known is None:
            return None
        denied = data.error is not None and data.error.code == "denied"
        shell, edited = data.shell_execution, data.file_edits and data.result
        added, removed = changed_lines(edited.detailed_content if edited else None)
        call = msgspec.structs.replace(
            known,
            ok=data.success,
            denied=denied,
            exit_status=shell.exit_code if shell else None,
            added=added,
            removed=removed,
        )
        self._tools[call.id] = call
        return ToolFinished(turn_id=self.turn_id, call=call)

    def _on_usage(self, data: AssistantUsageData) -> TurnEvent:
        usage = Usage(
            input_tokens=data.input_tokens or 0,
            output_tokens=data.output_tokens or 0,
            cached_tokens=data.cache_read_tokens or 0,
            model_calls=1,
            cost=data.cost or 0.0,
        )
        self._usage += usage
        return UsageReported(turn_id=self.turn_id, usage=usage)

    def _on_error(self, data: SessionErrorData) -> None:
        self._error = data

    def _on_abort(self, data: AbortData) -> None:
        self._aborted = True

    def _on_idle(self, data: SessionIdleData) -> None:
        self.idle = self.idle or self.arrived or self.failed

    def _on_compaction(self, data: SessionCompactionCompleteData) -> TurnEvent:
        return ContextChanged(
            turn_id=self.turn_id,
            what="compaction",
            tokens_before=data.pre_compaction_tokens,
            tokens_after=data.post_compaction_tokens,
        )

    def _on_truncation(self, data: SessionTruncationData) -> TurnEvent:
        return ContextChanged(
            turn_id=self.turn_id,
            what="truncation",
            tokens_before=data.pre_truncation_tokens_in_messages,
            tokens_after=data.post_truncation_tokens_in_messages,
        )

    def _on_call_failure(self, data: ModelCallFailureData) -> TurnEvent | None:
        if data.parent_tool_call_id:
            return None
        return call_failed(self.turn_id, data.status_code, data.error_message)

    def _on_retry(self, data: AssistantTurnRetryData) -> TurnEvent:
        return ModelRetried(turn_id=self.turn_id, reason=data.reason or "")

    def _on_warning(self, data: SessionWarningData) -> TurnEvent:
        return Warned(message=data.message)


_HANDLERS: dict[str, Callable[[TurnTranslator, Any], TurnEvent | None]] = {
    "user.message": TurnTranslator._on_user_message,
    "assistant.message_delta": TurnTranslator._on_delta,
    "assistant.message": TurnTranslator._on_message,
    "tool.execution_start": TurnTranslator._on_tool_start,
    "tool.execution_complete": TurnTranslator._on_tool_complete,
    "assistant.usage": TurnTranslator._on_usage,
    "model.call_failure": TurnTranslator._on_call_failure,
    "assistant.turn_retry": TurnTranslator._on_retry,
    "session.error": TurnTranslator._on_error,
    "session.warning": TurnTranslator._on_warning,
    "session.compaction_complete": TurnTranslator._on_compaction,
    "session.truncation": TurnTranslator._on_truncation,
    "session.idle": TurnTranslator._on_idle,
    "abort": TurnTranslator._on_abort,
}


def _classify(error: SessionErrorData) -> tuple[FailureKind, str, int | None]:
    """The kind of a `session.error` (docs/copilot-findings.md, Model errors)."""
    status, message = error.status_code, error.message
    match error.error_type:
        case "rate_limit":
            return FailureKind.RATE_LIMIT, message, status
        case "authentication" | "authorization":
            return FailureKind.AUTHENTICATION, message, status
    if message.startswith("No response was returned"):
        return FailureKind.EMPTY, _NO_ANSWER, status
    return failure_kind(status), message, status


def call_failed(turn_id: str, status: int | None, detail: str | None) -> ModelCallFailed:
    """One failed model call, with what the provider said about it."""
    try:
        said = msgspec.json.decode(detail or "", type=dict[str, Any]).get("message")
    except msgspec.MsgspecError:
        said = detail
    what = "the model call failed" if status is None else f"the model call failed ({status})"
    message = f"{what}: {said}" if said else what
    return ModelCallFailed(turn_id=turn_id, kind=failure_kind(status), message=message)


def failure_kind(status: int | None) -> FailureKind:
    """The kind of a failed model call by its HTTP status; None: it came to no answer."""
    if status is None:
        return FailureKind.NETWORK
    if status == 429:
        return FailureKind.RATE_LIMIT
    if status in (401, 403):
        return FailureKind.AUTHENTICATION
    return FailureKind.SERVER if status >= 500 else FailureKind.REQUEST

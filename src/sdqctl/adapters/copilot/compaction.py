"""The runtime's compaction as a stream of events, like a turn: it calls the model, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from sdqctl.adapters.copilot.events import call_failed, failure_kind
from sdqctl.adapters.copilot.process import RuntimeProcess, listen
from sdqctl.errors import RuntimeFailure
from sdqctl.model.events import (
    ContextChanged,
    FailureKind,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnProgress,
)

if TYPE_CHECKING:
    from copilot.generated.rpc import HistoryCompactResult
    from copilot.generated.session_events import SessionCompactionCompleteData, SessionEvent
    from copilot.session import CopilotSession as SdkSession

_CALL_FAILED = "model.model_call_failure"
_COMPLETE = "session.compaction_complete"


async def compact(
    sdk: SdkSession, process: RuntimeProcess, instructions: str | None, turn_id: str
) -> AsyncIterator[TurnEvent]:
    """Compact a session's context; the last event is TurnFinished, with the summary, or TurnFailed.

    An empty session is left as it is.
    """
    from copilot.generated import rpc

    loop = asyncio.get_running_loop()
    events: asyncio.Queue[SessionEvent | None] = asyncio.Queue()

    def hear(event: SessionEvent) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    unsubscribe = listen(sdk, process, hear)
    request = rpc.SessionHistoryCompactRequest(custom_instructions=instructions)
    asking = asyncio.ensure_future(process.call(sdk.rpc.history.compact(request), None))
    asking.add_done_callback(lambda _: events.put_nowait(None))
    status: int | None = None
    try:
        while (event := await events.get()) is not None:
            status = _status(event) or status
            yield _translated(event, turn_id) or TurnProgress(turn_id=turn_id)
        yield _end(asking, status, turn_id)
    finally:
        unsubscribe()
        asking.cancel()


def _translated(event: SessionEvent, turn_id: str) -> TurnEvent | None:
    if event.raw_type == _CALL_FAILED:
        call = _raw_call(event)
        status, detail = call.get("status"), call.get("error")
        return call_failed(turn_id, status if isinstance(status, int) else None, str(detail or ""))
    done = _completed(event)
    if done is not None and done.success:
        return ContextChanged(
            turn_id=turn_id,
            what="compaction",
            tokens_before=done.pre_compaction_tokens,
            tokens_after=done.post_compaction_tokens,
        )
    return None


def _completed(event: SessionEvent) -> SessionCompactionCompleteData | None:
    """How the runtime says that a compaction ended, in whatever way."""
    if event.type.value != _COMPLETE:
        return None
    return cast("SessionCompactionCompleteData", event.data)


def _status(event: SessionEvent) -> int | None:
    done = _completed(event)
    return None if done is None else done.status_code


def _raw_call(event: SessionEvent) -> dict[str, object]:
    raw = getattr(event.data, "raw", None)
    call = raw.get("modelCall") if isinstance(raw, dict) else None
    return call if isinstance(call, dict) else {}


def _end(
    asking: asyncio.Future[HistoryCompactResult], status: int | None, turn_id: str
) -> TurnEvent:
    """How the call ended. Raises RuntimeFailure and its kinds."""
    try:
        result = asking.result()
    except RuntimeFailure:
        raise
    except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions
        message = str(error)
        if "Nothing to compact" in message:
            return TurnFinished(turn_id=turn_id, response="")
        kind = failure_kind(status) if status else FailureKind.NETWORK
        message = message.rpartition("failed with message: ")[2]
        return TurnFailed(turn_id=turn_id, kind=kind, message=message, status_code=status)
    summary = result.summary_content or ""
    return TurnFinished(turn_id=turn_id, response=summary)

"""The runtime's compaction as a stream of events, like a turn: it calls the model, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

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

_CALL_FAILED = "model.model_call_failure"
_COMPLETE = "session.compaction_complete"


async def compact(
    sdk: Any, process: RuntimeProcess, instructions: str | None, turn_id: str
) -> AsyncIterator[TurnEvent]:
    """Compact a session's context; the last event is TurnFinished, with the summary, or TurnFailed.

    An empty session is left as it is.
    """
    from copilot.generated import rpc

    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Any] = asyncio.Queue()
    unsubscribe = listen(
        sdk, process, lambda event: loop.call_soon_threadsafe(events.put_nowait, event)
    )
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


def _translated(event: Any, turn_id: str) -> TurnEvent | None:
    if getattr(event, "raw_type", None) == _CALL_FAILED:
        call = _raw_call(event)
        status, detail = call.get("status"), call.get("error")
        return call_failed(turn_id, status if isinstance(status, int) else None, str(detail or ""))
    if event.type.value == _COMPLETE and event.data.success:
        return ContextChanged(
            turn_id=turn_id,
            what="compaction",
            tokens_before=getattr(event.data, "pre_compaction_tokens", None),
            tokens_after=getattr(event.data, "post_compaction_tokens", None),
        )
    return None


def _status(event: Any) -> int | None:
    found = getattr(event.data, "status_code", None) if event.type.value == _COMPLETE else None
    return found if isinstance(found, int) else None


def _raw_call(event: Any) -> dict[str, Any]:
    raw = getattr(event.data, "raw", None)
    call = raw.get("modelCall") if isinstance(raw, dict) else None
    return call if isinstance(call, dict) else {}


def _end(asking: asyncio.Future[Any], status: int | None, turn_id: str) -> TurnEvent:
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
    summary = str(getattr(result, "summary_content", "") or "")
    return TurnFinished(turn_id=turn_id, response=summary)

"""What holds for everything that calls a model, prompts and compactions alike: limits and retries.

The runtime tries a failed call again by itself. That counts as part of `--retry-for`: a turn whose
last call failed is ended when that time is over, whatever the runtime waits for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from sdqctl.engine.context import LiveRun, Sink
from sdqctl.errors import (
    AuthenticationError,
    BusyError,
    RateLimitError,
    SdqctlError,
    StepError,
)
from sdqctl.model.events import (
    FailureKind,
    MessageAdded,
    ModelCallFailed,
    PermissionDecided,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnProgress,
    UsageReported,
)
from sdqctl.policy.policy import DenialCounter
from sdqctl.text.duration import format_duration

TRANSIENT = frozenset({FailureKind.RATE_LIMIT, FailureKind.NETWORK, FailureKind.SERVER})
"""Failures that may be over in a while."""
_WORKS = TextDelta | MessageAdded | ToolStarted | UsageReported
"""Events that show that the model answers."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class Retries:
    """How long transient failures are tried again: `budget` seconds from the first one."""

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._deadline: float | None = None
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Seconds that are left; the first call starts the clock."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._budget
        return self._deadline - time.monotonic()

    def next_pause(self) -> float | None:
        """Seconds to wait before the next try, doubling up to a minute; None: time is up."""
        left = self.left()
        if left <= 0:
            return None
        pause, self._pause = min(self._pause, left), min(self._pause * 2, _LONGEST_PAUSE)
        return pause


class Watch:
    """Follows the events of one turn, or of one compaction, and ends it at the limits."""

    def __init__(self, run: LiveRun, retries: Retries, emit: Sink) -> None:
        self._connection = run.connection
        self._options = run.context.options
        self._budget = run.budget
        self._retries = retries
        self._emit = emit
        self._denials = DenialCounter()
        self._at_work: set[str] = set()
        self._failing: ModelCallFailed | None = None

    async def follow(
        self, stream: AsyncIterator[TurnEvent], turn_id: str, note: Callable[[TurnEvent], None]
    ) -> TurnFinished | TurnFailed:
        """How it ended; `note` gets each event first. Raises what the stream raises."""
        limits = (self._options.step_timeout or None, self._budget.seconds_left())
        limit = min((limit for limit in limits if limit is not None), default=None)
        try:
            async with asyncio.timeout(limit), aclosing(stream):  # type: ignore[type-var]
                return await self._follow(stream, turn_id, note)
        except TimeoutError:
            took = format_duration(self._options.step_timeout or 0.0)
            late = f"no answer within {took} (--step-timeout)"
            return await self._stop(turn_id, self._budget.reached() or late)

    async def _follow(
        self, stream: AsyncIterator[TurnEvent], turn_id: str, note: Callable[[TurnEvent], None]
    ) -> TurnFinished | TurnFailed:
        while True:
            try:
                async with asyncio.timeout(self._patience()) as waiting:
                    event = await anext(stream)
            except TimeoutError:
                if not waiting.expired():
                    raise
                return await self._out_of_patience(turn_id)
            self._note(event)
            if isinstance(event, TurnProgress):
                continue
            note(event)
            self._emit(event)
            if unwanted := self._reason_to_stop(event):
                return await self._stop(turn_id, unwanted)
            if isinstance(event, TurnFinished | TurnFailed):
                return event

    def _note(self, event: TurnEvent) -> None:
        self._budget.note(event)
        if isinstance(event, ModelCallFailed):
            self._failing = event if event.kind in TRANSIENT else None
        elif isinstance(event, _WORKS):
            self._failing = None
        if isinstance(event, ToolStarted):
            self._at_work.add(event.call.id)
        elif isinstance(event, ToolFinished):
            self._at_work.discard(event.call.id)

    def _patience(self) -> float | None:
        """Seconds to wait for the next event."""
        if self._at_work:
            return None
        idle = self._options.idle_timeout or None
        if self._failing is None:
            return idle
        left = max(0.0, self._retries.left())
        return left if idle is None else min(left, idle)

    async def _out_of_patience(self, turn_id: str) -> TurnFailed:
        failing = self._failing
        if failing is not None and self._retries.left() <= 0:
            return await self._stop(turn_id, failing.message, failing.kind)
        idle = format_duration(self._options.idle_timeout or 0.0)
        reason = f"nothing was heard from the model for {idle} (--idle-timeout)"
        return await self._stop(turn_id, reason)

    def _reason_to_stop(self, event: TurnEvent) -> str | None:
        """Why the turn goes no further; an answer that is on its way is not cut off by a budget."""
        if isinstance(event, PermissionDecided) and self._denials.note(event):
            return self._denials.describe(event)
        return self._budget.reached() if isinstance(event, ToolStarted) else None

    async def _stop(
        self, turn_id: str, message: str, kind: FailureKind = FailureKind.ABORTED
    ) -> TurnFailed:
        await self._connection.session.abort()
        return TurnFailed(
            turn_id=turn_id, kind=kind, message=message, usage=self._budget.turn_usage
        )


def failure(what: str, end: TurnFailed) -> SdqctlError:
    """The error of what failed for good, by its kind."""
    message = f"{what} failed: {end.message}"
    if end.kind is FailureKind.AUTHENTICATION:
        return AuthenticationError(
            message, hint="check the key or sign in; `sdqctl status --auth` shows what is used"
        )
    if end.kind is FailureKind.RATE_LIMIT:
        return RateLimitError(message, hint="try again later")
    if end.kind in TRANSIENT:
        return BusyError(message, hint="the retries of --retry-for are used up; try again later")
    return StepError(message)

"""One prompt, sent and recorded: begin, send, message id, flush, end. Commits come before acts."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from sdqctl.adapters.base import AdapterSession
from sdqctl.engine.audit import note_net_refusal
from sdqctl.engine.budget import Budget
from sdqctl.engine.connection import Connection
from sdqctl.engine.context import Sink
from sdqctl.engine.options import OnInterrupted, RunOptions
from sdqctl.engine.recovery import Recovery, clear_context, has_effects, recover_turn
from sdqctl.errors import (
    AuthenticationError,
    BusyError,
    ContextError,
    RateLimitError,
    RuntimeDiedError,
    SdqctlError,
    StepError,
)
from sdqctl.model.duration import format_duration
from sdqctl.model.events import (
    FailureKind,
    NetRefused,
    PermissionDecided,
    PromptAccepted,
    PromptBegun,
    StepRecovered,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnProgress,
    Warned,
)
from sdqctl.model.run import StepRecord, StepStatus, TurnOutcome
from sdqctl.model.session import SessionRef
from sdqctl.model.workflow import PlannedStep
from sdqctl.policy.policy import DenialCounter
from sdqctl.store.ledger import Ledger

_TRANSIENT = {FailureKind.RATE_LIMIT, FailureKind.NETWORK, FailureKind.SERVER}
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class TurnRunner:
    """Answers prompt steps of one run."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        connection: Connection,
        run_id: str,
        options: RunOptions,
        budget: Budget,
        emit: Sink,
    ) -> None:
        self._ledger = ledger
        self._connection = connection
        self._run_id = run_id
        self._options = options
        self._budget = budget
        self._emit = emit

    async def answer(
        self, step: PlannedStep, render: Callable[[], str], *, begun: bool
    ) -> StepRecord:
        """Get the step answered; `begun`: by recovering its last attempt first.

        `render` makes the text of the prompt. Transient failures are tried again within
        `retry_for`; one death of the runtime is survived. Raises what `render` raises, StepError
        and its kinds, AuthenticationError, BusyError and its kinds, RuntimeDiedError.
        """
        asked = None if begun else Recovery("asked", "", render())
        self._budget.begin_turn()
        died = False
        retry = _Retry(self._options.retry_for)
        while True:
            try:
                if asked is None:
                    asked = await self._recover(step, render)
                if asked.record is not None and asked.outcome is not None:
                    return self.record_found(asked.record, asked.outcome)
                record, end = await self._attempt(step, asked)
            except RuntimeDiedError as error:
                if died:
                    raise
                died = True
                self._warn(step, f"{error.message}; a new one is started")
                await self._reopen()
                asked = None
                continue
            if isinstance(end, TurnFinished):
                return self._finish(record, end)
            self._fail(record, end)
            await self._pause(step, end, retry)
            asked = None

    async def _reopen(self) -> None:
        info = self._connection.session.info
        untouched = self._ledger.is_untouched(SessionRef(info.adapter, info.id))
        await self._connection.reopen(untouched=untouched)

    async def _recover(self, step: PlannedStep, render: Callable[[], str]) -> Recovery:
        """The answer that was found, or what to send."""
        attempts = [
            record
            for record in self._ledger.attempts(self._run_id)
            if record.position == step.position and record.turn_id and record.superseded is False
        ]
        session = self._connection.session
        found = await recover_turn(
            session, self._ledger, attempts, self._options.on_interrupted, render
        )
        self._emit(
            StepRecovered(
                run_id=self._run_id,
                position=step.position,
                action=found.action,
                message=found.message,
            )
        )
        return found

    def record_found(self, record: StepRecord, outcome: TurnOutcome) -> StepRecord:
        """Record an answer that was found in the journal; a settled attempt is never changed."""
        if record.status is not StepStatus.BEGUN:
            record = self._ledger.begin_step(
                record.run_id,
                position=record.position,
                cycle=record.cycle,
                kind=record.kind,
                title=record.title,
                digest=record.digest,
                session_id=record.session_id,
                turn_id=record.turn_id,
                prompt=record.prompt,
                journal_position=record.journal_position,
                follows=record.follows,
            )
        if outcome.message_id and record.message_id is None:
            self._ledger.accept_step(record.run_id, record.position, outcome.message_id)
        return self._ledger.finish_step(
            record.run_id,
            record.position,
            StepStatus.DONE,
            response=outcome.response,
            tools=outcome.tools,
            usage=outcome.usage,
        )

    async def _attempt(
        self, step: PlannedStep, asked: Recovery
    ) -> tuple[StepRecord, TurnFinished | TurnFailed]:
        session, prompt = self._connection.session, asked.prompt or ""
        record = self._ledger.begin_step(
            self._run_id,
            position=step.position,
            cycle=step.cycle,
            kind=step.kind,
            title=step.title,
            digest=step.digest,
            session_id=session.info.id,
            turn_id=uuid.uuid4().hex,
            prompt=prompt,
            journal_position=session.journal_position(),
            follows=asked.follows,
        )
        self._emit(
            PromptBegun(
                run_id=self._run_id,
                position=step.position,
                turn_id=record.turn_id or "",
                prompt=prompt,
            )
        )
        return record, await self._send(session, record, prompt)

    async def _send(
        self, session: AdapterSession, record: StepRecord, prompt: str
    ) -> TurnFinished | TurnFailed:
        stream = session.send(prompt, turn_id=record.turn_id or "")
        try:
            async with asyncio.timeout(self._step_limit()), aclosing(stream):  # type: ignore[type-var]
                return await self._follow(stream, record)
        except TimeoutError:
            await session.abort()
            limit = format_duration(self._options.step_timeout)
            late = f"no answer within {limit} (--step-timeout)"
            return self._stopped(record, self._budget.reached() or late)

    def _step_limit(self) -> float | None:
        limits = (self._options.step_timeout or None, self._budget.seconds_left())
        return min((limit for limit in limits if limit is not None), default=None)

    async def _follow(
        self, stream: AsyncIterator[TurnEvent], record: StepRecord
    ) -> TurnFinished | TurnFailed:
        idle = self._options.idle_timeout or None
        denials = DenialCounter()
        at_work: set[str] = set()
        while True:
            try:
                async with asyncio.timeout(None if at_work else idle) as waiting:
                    event = await anext(stream)
            except TimeoutError:
                if not waiting.expired():
                    raise
                await self._connection.session.abort()
                limit = format_duration(idle or 0)
                reason = f"nothing was heard from the model for {limit} (--idle-timeout)"
                return self._stopped(record, reason)
            if isinstance(event, TurnProgress):
                continue
            self._record(event, record)
            if isinstance(event, ToolStarted):
                at_work.add(event.call.id)
            elif isinstance(event, ToolFinished):
                at_work.discard(event.call.id)
            self._emit(event)
            self._budget.note(event)
            if unwanted := self._reason_to_stop(event, denials):
                await self._connection.session.abort()
                return self._stopped(record, unwanted)
            if isinstance(event, TurnFinished | TurnFailed):
                return event

    def _record(self, event: TurnEvent, record: StepRecord) -> None:
        """Commit what an event says before anything else hears of it."""
        if isinstance(event, PromptAccepted):
            self._ledger.accept_step(record.run_id, record.position, event.message_id)
        elif isinstance(event, NetRefused):
            note_net_refusal(self._ledger, self._run_id, event)

    def _reason_to_stop(self, event: TurnEvent, denials: DenialCounter) -> str | None:
        """Why the turn goes no further; an answer that is on its way is not cut off by a budget."""
        if isinstance(event, PermissionDecided) and denials.note(event):
            return denials.describe(event)
        return self._budget.reached() if isinstance(event, ToolStarted) else None

    def _stopped(self, record: StepRecord, message: str) -> TurnFailed:
        return TurnFailed(
            turn_id=record.turn_id or "",
            kind=FailureKind.ABORTED,
            message=message,
            usage=self._budget.turn_usage,
        )

    def _finish(self, record: StepRecord, end: TurnFinished) -> StepRecord:
        """Record the answer. Raises ContextError when it is the answer to another prompt."""
        sent = self._ledger.step(record.run_id, record.position)
        if sent is not None and end.message_id and sent.message_id not in (None, end.message_id):
            raise ContextError(
                f"step {record.position} ({record.title}): what came back is the answer to another "
                "prompt of the conversation",
                hint="go on with `--on-interrupted continue`; the journal decides what is answered",
            )
        return self._ledger.finish_step(
            record.run_id,
            record.position,
            StepStatus.DONE,
            response=end.response,
            tools=end.tools,
            usage=end.usage,
        )

    def _fail(self, record: StepRecord, end: TurnFailed) -> None:
        self._ledger.finish_step(
            record.run_id,
            record.position,
            StepStatus.FAILED,
            response=end.response,
            tools=end.tools,
            usage=end.usage,
            error=end.message,
        )

    async def _pause(self, step: PlannedStep, end: TurnFailed, retry: _Retry) -> None:
        """Wait before a transient failure is tried again; raise what cannot be."""
        pause = retry.next_pause() if end.kind in _TRANSIENT else None
        if pause is None or self._must_stop(end):
            await self._leave_clean(step)
            self._budget.check()
            raise _error(step, end, retried=retry.used)
        self._warn(step, f"{end.message}; trying again in {format_duration(pause)}")
        await asyncio.sleep(pause)

    def _must_stop(self, end: TurnFailed) -> bool:
        return has_effects(end.tools) and self._options.on_interrupted is OnInterrupted.FAIL

    async def _leave_clean(self, step: PlannedStep) -> None:
        """Take a failed prompt out of the context, so that later prompts do not meet it."""
        record = self._ledger.step(self._run_id, step.position)
        assert record is not None, "the attempt that failed is in the ledger"
        try:
            await clear_context(self._connection.session, self._ledger, record)
        except SdqctlError as error:
            self._warn(step, f"its prompt stays in the context for now: {error.message}")

    def _warn(self, step: PlannedStep, message: str) -> None:
        self._emit(Warned(message=f"step {step.position}: {message}"))


class _Retry:
    """A back-off that doubles up to a minute, within a budget of seconds."""

    def __init__(self, budget: float) -> None:
        self._deadline = time.monotonic() + budget
        self._pause = _FIRST_PAUSE
        self.used = False

    def next_pause(self) -> float | None:
        """Seconds to wait before the next try, None when the budget is used up."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return None
        pause, self._pause = min(self._pause, left), min(self._pause * 2, _LONGEST_PAUSE)
        self.used = True
        return pause


def _error(step: PlannedStep, end: TurnFailed, *, retried: bool) -> SdqctlError:
    message = f"step {step.position} ({step.title}) failed: {end.message}"
    if end.kind is FailureKind.AUTHENTICATION:
        return AuthenticationError(
            message, hint="check the key or sign in; `sdqctl status --auth` tells what is used"
        )
    if end.kind is FailureKind.RATE_LIMIT:
        return RateLimitError(message, hint="try again later")
    if end.kind in _TRANSIENT and retried:
        return BusyError(message, hint="the retries of --retry-for are used up; try again later")
    return StepError(message)

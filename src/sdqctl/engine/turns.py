"""One prompt, sent and recorded: begin, send, message id, flush, end. Commits come before acts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial

from sdqctl.adapters.base import Compacts, StructuresAnswers, find_power, power
from sdqctl.engine.audit import note_net_refusal
from sdqctl.engine.captures import WantedAnswer
from sdqctl.engine.context import LiveRun, Sink
from sdqctl.engine.model_calls import TRANSIENT, Retries, Watch, failure
from sdqctl.engine.prompt_settings import set_up
from sdqctl.engine.recovery import Recovery, clear_context, has_effects, is_last, recover_turn
from sdqctl.errors import ContextError, RuntimeDiedError, SdqctlError, StepError
from sdqctl.model.events import (
    Event,
    NetRefused,
    PromptAccepted,
    PromptBegun,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    Warned,
)
from sdqctl.model.options import OnInterrupted
from sdqctl.model.plan import PlannedStep, PromptAction
from sdqctl.model.run import StepRecord, StepStatus, TurnOutcome
from sdqctl.model.session import SessionRef
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import title

UNFIT = "the answer does not fit: "
_REASON = 200
"""Columns of a reason in a warning."""
"""How the error of an attempt begins whose answer is not what its CAPTURE wants."""


class TurnRunner:
    """Answers prompt steps of one run."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._ledger = run.context.ledger
        self._options = run.context.options
        self._emit = run.context.emit
        self._unfit_before = 0
        """How many answers did not fit in a command before, which asked often enough."""

    async def answer(
        self,
        step: PlannedStep,
        render: Callable[[], str],
        *,
        begun: bool,
        wanted: WantedAnswer | None = None,
    ) -> StepRecord:
        """Get the step answered; `begun`: by recovering its last attempt first. An answer that is
        not what is `wanted` is asked for again, each time in an attempt of its own.

        `render` makes the text of the prompt. Transient failures are tried again within
        `retry_for`; one death of the runtime is survived. Raises what `render` raises, StepError
        and its kinds, AuthenticationError, BusyError and its kinds, RuntimeDiedError.
        """
        asked = None if begun else Recovery("asked", "", render())
        self._count_unfit(step, wanted)
        died, retries = False, Retries(self._options.retry_for or 0.0)
        while True:
            try:
                if asked is None:
                    asked = await self._recover(step, render)
                if asked.record is not None and asked.outcome is not None:
                    done = await self._take_found(step, asked.record, asked.outcome, wanted, render)
                    if isinstance(done, StepRecord):
                        return done
                    asked = Recovery("asked", "", done, corrects=True)
                record, end = await self._attempt(step, asked, retries, wanted)
            except RuntimeDiedError as error:
                if died:
                    raise
                died, asked = True, None
                self._warn(step, f"{error.message}; a new one is started")
                await self.reopen()
                continue
            if isinstance(end, TurnFailed):
                await self._pause_after(step, record, end, retries)
                asked = None
                continue
            done = self._take(step, record, end, wanted)
            if isinstance(done, StepRecord):
                return done
            asked = Recovery("asked", "", done, corrects=True)
            await self._run.budget.begin_turn()

    async def _take_found(
        self,
        step: PlannedStep,
        record: StepRecord,
        outcome: TurnOutcome,
        wanted: WantedAnswer | None,
        render: Callable[[], str],
    ) -> StepRecord | str:
        """The same for an answer of the journal, which may not be the last one any more: then the
        agent is told the whole prompt again.
        """
        await self._run.look(step)
        done = self._take(step, record, outcome, wanted)
        if isinstance(done, StepRecord) or await is_last(self._run.connection.session, outcome):
            return done
        return f"{render()}\n\n{done}"

    def _count_unfit(self, step: PlannedStep, wanted: WantedAnswer | None) -> None:
        """What was asked often enough in a command before is asked as often again."""
        known = self._unfit(step) if wanted is not None else 0
        self._unfit_before = known if wanted is not None and known > wanted.retries else 0

    def _unfit(self, step: PlannedStep) -> int:
        """How often an answer did not fit."""
        attempts = self._ledger.attempts_at(self._run.id, step.path)
        return sum((attempt.error or "").startswith(UNFIT) for attempt in attempts)

    async def _pause_after(
        self, step: PlannedStep, record: StepRecord, end: TurnFailed, retries: Retries
    ) -> None:
        """Record a failure, and wait before what is transient is tried again."""
        self._fail(record, end)
        await self._pause(step, end, retries)

    def _take(
        self,
        step: PlannedStep,
        record: StepRecord,
        end: TurnFinished | TurnOutcome,
        wanted: WantedAnswer | None,
    ) -> StepRecord | str:
        """Record an answer with its value; one that does not fit with the reason, and return what
        the agent is told about it. Raises StepError when it was told often enough.
        """
        value = None
        if wanted is not None:
            try:
                value = wanted.value(end.response)
            except ValueError as error:
                return self._refuse(step, record, end, wanted, error)
        if isinstance(end, TurnOutcome):
            return self.record_found(record, end, value)
        return self._finish(record, end, value)

    def _refuse(
        self,
        step: PlannedStep,
        record: StepRecord,
        end: TurnFinished | TurnOutcome,
        wanted: WantedAnswer,
        reason: ValueError,
    ) -> str:
        if record.status is StepStatus.BEGUN:
            if end.message_id and record.message_id is None and isinstance(end, TurnOutcome):
                self._ledger.accept_step(record.run_id, record.path, end.message_id)
            if isinstance(end, TurnOutcome):
                self._run.budget.found(end.usage)
            self._ledger.finish_step(
                record.run_id,
                record.path,
                StepStatus.FAILED,
                response=end.response,
                tools=end.tools,
                usage=end.usage,
                error=f"{UNFIT}{reason}",
            )
        tries = self._unfit(step) - self._unfit_before
        if tries > wanted.retries:
            raise StepError(
                f"step {step.path}: the answer does not fit after {tries} tries: {reason}",
                hint="CAPTURE-RETRIES allows more tries",
            )
        self._warn(step, f"the answer does not fit ({title(str(reason), _REASON)}); asked again")
        return wanted.correction(reason)

    async def compact(
        self, step: PlannedStep, instructions: str | None, *, recorded: bool = True
    ) -> StepRecord | None:
        """Have the context compacted, under the same limits and retries as a prompt.

        `recorded`: each attempt is one of the step's, and the last is returned. Raises what
        `answer` raises.
        """
        died = False
        retries = Retries(self._options.retry_for or 0.0)
        while True:
            record = self._run.begin(step) if recorded else None
            try:
                end = await self._compaction(instructions, retries)
            except RuntimeDiedError as error:
                if died:
                    raise
                died = True
                self._warn(step, f"{error.message}; a new one is started")
                await self.reopen()
                continue
            if isinstance(end, TurnFinished):
                return self._finish(record, end) if record is not None else None
            if record is not None:
                self._fail(record, end)
            await self._pause(step, end, retries)

    async def _compaction(
        self, instructions: str | None, retries: Retries
    ) -> TurnFinished | TurnFailed:
        session = power(self._run.connection.session, Compacts)
        turn_id = uuid.uuid4().hex
        stream = session.compact(instructions, turn_id=turn_id)
        return await self._follow(stream, turn_id, retries, lambda _: None, self._emit_within)

    def _emit_within(self, event: Event) -> None:
        """Pass on what happens in a compaction; its end is none of an answer."""
        if not isinstance(event, TurnFinished | TurnFailed):
            self._emit(event)

    async def reopen(self) -> None:
        """Start a new runtime, and open the session in it. Raises what that raises."""
        info = self._run.connection.session.info
        untouched = self._ledger.is_untouched(SessionRef(info.adapter, info.id))
        await self._run.connection.reopen(untouched=untouched)

    async def _recover(self, step: PlannedStep, render: Callable[[], str]) -> Recovery:
        """The answer that was found, or what to send."""
        attempts = [a for a in self._ledger.attempts_at(self._run.id, step.path) if a.turn_id]
        session = self._run.connection.session
        policy, go_back = self._run.on_interrupted, self._run.tree.go_back
        found = await recover_turn(session, self._ledger, attempts, policy, render, go_back)
        if found.warning is not None:
            self._emit(Warned(message=found.warning))
        self._run.recovered(step, found.action, found.message)
        return found

    def record_found(
        self, record: StepRecord, outcome: TurnOutcome, value: str | None = None
    ) -> StepRecord:
        """Record an answer that was found in the journal; a settled attempt is never changed."""
        if record.status is not StepStatus.BEGUN:
            record = self._ledger.begin_step(
                record.run_id,
                path=record.path,
                cycle=record.cycle,
                kind=record.kind,
                title=record.title,
                digest=record.digest,
                session_id=record.session_id,
                turn_id=record.turn_id,
                prompt=record.prompt,
                journal_position=record.journal_position,
                follows=record.follows,
                snapshot_before=record.snapshot_before,
            )
        if outcome.message_id and record.message_id is None:
            self._ledger.accept_step(record.run_id, record.path, outcome.message_id)
        self._run.budget.found(outcome.usage)
        return self._ledger.finish_step(
            record.run_id,
            record.path,
            StepStatus.DONE,
            response=outcome.response,
            tools=outcome.tools,
            usage=outcome.usage,
            value=value,
            snapshot=self._run.tree.now if record.run_id == self._run.id else None,
        )

    async def _attempt(
        self, step: PlannedStep, asked: Recovery, retries: Retries, wanted: WantedAnswer | None
    ) -> tuple[StepRecord, TurnFinished | TurnFailed]:
        session, prompt = self._run.connection.session, asked.prompt or ""
        if isinstance(step.action, PromptAction):
            again = asked.corrects or (asked.follows is not None and not asked.forgot)
            roots = self._run.context.roots
            await set_up(session, step.action.runs_with, roots, attach=not again)
        record = self._ledger.begin_step(
            self._run.id,
            path=step.path,
            cycle=step.cycle,
            kind=step.kind,
            title=step.title,
            digest=step.digest,
            session_id=session.info.id,
            turn_id=uuid.uuid4().hex,
            prompt=prompt,
            journal_position=session.journal_position(),
            follows=asked.follows,
            value=None if wanted is None else "",
            snapshot_before=self._run.tree.now,
            seen=self._run.tree.seen,
        )
        self._run.tree.begun_here(record)
        self._emit(
            PromptBegun(
                run_id=self._run.id,
                position=step.position,
                path=step.path,
                turn_id=record.turn_id or "",
                prompt=prompt,
            )
        )

        turn_id = record.turn_id or ""
        structure = wanted.structure if wanted is not None else None
        holding = find_power(session, StructuresAnswers) if structure is not None else None
        if structure is not None and holding is not None:
            holding.expect(structure)
        stream = session.send(prompt, turn_id=turn_id)
        note = partial(self._record, record)
        end = await self._follow(stream, turn_id, retries, note, self._emit)
        await self._run.look(step)
        return record, end

    def _record(self, record: StepRecord, event: TurnEvent) -> None:
        """Commit what an event says before anything else hears of it."""
        if isinstance(event, PromptAccepted):
            self._ledger.accept_step(record.run_id, record.path, event.message_id)
        elif isinstance(event, NetRefused):
            note_net_refusal(self._ledger, self._run.id, event)

    async def _follow(
        self,
        stream: AsyncIterator[TurnEvent],
        turn_id: str,
        retries: Retries,
        note: Callable[[TurnEvent], None],
        emit: Sink,
    ) -> TurnFinished | TurnFailed:
        watch = Watch(self._run, retries, emit)
        return await watch.follow(stream, turn_id, note)

    def _finish(
        self, record: StepRecord, end: TurnFinished, value: str | None = None
    ) -> StepRecord:
        """Record the answer. Raises ContextError when it is the answer to another prompt."""
        sent = self._ledger.step(record.run_id, record.path)
        if sent is not None and end.message_id and sent.message_id not in (None, end.message_id):
            raise ContextError(
                f"step {record.path} ({record.title}): what came back is the answer to another "
                "prompt of the conversation",
                hint="go on with `--on-interrupted continue`; the journal decides what is answered",
            )
        return self._ledger.finish_step(
            record.run_id,
            record.path,
            StepStatus.DONE,
            response=end.response,
            tools=end.tools,
            usage=end.usage,
            value=value,
            snapshot=self._run.tree.now,
        )

    def _fail(self, record: StepRecord, end: TurnFailed) -> None:
        self._ledger.finish_step(
            record.run_id,
            record.path,
            StepStatus.FAILED,
            response=end.response,
            tools=end.tools,
            usage=end.usage,
            error=end.message,
            snapshot=self._run.tree.now,
        )

    async def _pause(self, step: PlannedStep, end: TurnFailed, retries: Retries) -> None:
        """Wait before a transient failure is tried again; raise what cannot be."""
        pause = retries.next_pause() if end.kind in TRANSIENT else None
        if pause is None or self._must_stop(end):
            await self._leave_clean(step)
            self._run.budget.check()
            raise failure(f"step {step.path} ({step.title})", end)
        self._warn(step, f"{end.message}; trying again in {format_duration(pause)}")
        left = self._run.budget.seconds_left()
        await asyncio.sleep(pause if left is None else min(pause, max(0.0, left)))

    def _must_stop(self, end: TurnFailed) -> bool:
        session = self._run.connection.session
        fails = self._run.on_interrupted is OnInterrupted.FAIL
        return fails and has_effects(session, end.tools)

    async def _leave_clean(self, step: PlannedStep) -> None:
        """Take a failed prompt out of the context, so that later prompts do not meet it."""
        record = self._ledger.step(self._run.id, step.path)
        if record is None or record.turn_id is None:  # a compaction, which leaves no prompt
            return
        try:
            await clear_context(self._run.connection.session, self._ledger, record)
        except SdqctlError as error:
            self._warn(step, f"its prompt stays in the context for now: {error.message}")

    def _warn(self, step: PlannedStep, message: str) -> None:
        self._emit(Warned(message=f"step {step.path}: {message}"))

"""Drives a plan through a session, one recorded step after another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sdqctl.engine.calls import call
from sdqctl.engine.command.step import start_again
from sdqctl.engine.context import Caller, Deliver, LiveRun
from sdqctl.engine.leftovers import behind_others, settle_leftovers
from sdqctl.engine.matching import Match, is_outdated, kept_parts, match_plan
from sdqctl.engine.recovery import check_context, clear_context
from sdqctl.engine.scope import value_of
from sdqctl.engine.side_by_side import call_together
from sdqctl.engine.steps import execute, skip
from sdqctl.engine.turns import TurnRunner
from sdqctl.engine.unfolding import EndedEarly, Unfolding
from sdqctl.engine.wording import worded
from sdqctl.errors import (
    BusyError,
    InterruptedRunError,
    PausedError,
    RuntimeDiedError,
    SdqctlError,
    UsageError,
)
from sdqctl.model.events import RunFinished, RunStarted, StepFinished, StepStarted, Warned
from sdqctl.model.options import OnInterrupted
from sdqctl.model.paths import Key, outer_paths, part_of, path_key, position_of
from sdqctl.model.plan import PlannedStep
from sdqctl.model.run import OutcomeStatus, RunRecord, RunStatus, StepRecord, StepStatus
from sdqctl.model.session import SessionRef, Usage
from sdqctl.model.workflow import (
    CallStep,
    CheckpointStep,
    ConsultStep,
    ForStep,
    IfStep,
    NewConversationStep,
    PauseStep,
)
from sdqctl.process import commit_point
from sdqctl.store.calls import steps_of_tree
from sdqctl.store.rounds import is_entered, place_lists

_ABORT_SECONDS = 5.0
_SHOWN = 10
_ENDING = ("stop", "return")


class Runner:
    """Does what is left of one run. The session must be open in the connection."""

    def __init__(self, run: LiveRun, deliver: Deliver) -> None:
        """`deliver` writes what the answers make, before the run counts as completed."""
        self._run = run
        self._context = run.context
        self._ledger = run.context.ledger
        self._write = deliver
        self._done_before: list[PlannedStep] = []
        self._turns = TurnRunner(run)
        self._first: Key = ()
        """What the paths of the steps that are wanted are not less than."""
        self._unfolding = Unfolding(
            run.scope,
            run.context.options.max_rounds,
            self._settle,
            self._together,
            partial(is_entered, self._ledger, run.id),
        )

    async def execute(self, *, start_at: str | None = None) -> RunRecord:
        """Run the steps that are not settled; `start_at` runs that step and all after it again,
        and none before it.

        Raises PausedError at PAUSE and CONSULT, InterruptedRunError when cancelled, and the error
        of a step that failed. The ledger says the same before any of them leaves here.
        """
        try:
            await self._prepare(start_at)
            with suppress(EndedEarly):
                await self._unfolding.walk(self._context.plan.steps)
            self._deliver()
        except asyncio.CancelledError as error:
            by = error.args[0] if error.args else "a signal"
            self._end(RunStatus.INTERRUPTED, f"interrupted by {by}")
            with suppress(asyncio.CancelledError):  # a second signal: it is waited for no longer
                await self._abort()
            raise InterruptedRunError(f"interrupted: {self._where()}") from error
        except PausedError as error:
            self._end(RunStatus.PAUSED, error.message)
            raise
        except SdqctlError as error:
            self._end(_status_after(error), error.message)
            raise
        return self._end(RunStatus.COMPLETED, None)

    def _deliver(self) -> None:
        """Write the run's document; it is completed only then, so that a resume writes it."""
        commit_point("document.before")
        self._write(self._ledger.steps(self._run.id))
        commit_point("document.after")

    async def _prepare(self, start_at: str | None) -> None:
        """Settle what was open, lay the plan over what is recorded, and check the context."""
        try:
            await self._settle_open_turns()
        except RuntimeDiedError as error:
            await self._start_anew(error)
            await self._settle_open_turns()
        if start_at is not None:
            self._refuse_undecided(start_at)
            self._first = path_key(start_at)
        steps = self._ledger.steps(self._run.id)
        match = match_plan(self._context.plan, steps, decides=start_at is None)
        cut_off = list(match.lost)
        if self._run.on_interrupted is OnInterrupted.REWIND and start_at is None:
            cut_off += behind_others(self._context.plan, match, steps)
        for record in await settle_leftovers(self._run, cut_off):
            match.moved.pop(record.path, None)
        self._ledger.place_attempts(self._run.id, match.moved)
        for record in self._ledger.steps(self._run.id):
            if start_at is not None and path_key(record.path) >= path_key(start_at):
                self._ledger.supersede_step(self._run.id, record.path)
        self._skip_before(start_at)
        self._ledger.update_run(
            self._run.id,
            status=RunStatus.RUNNING,
            message=None,
            steps_total=len(self._context.plan.steps),
            **self._run.budget.begun,
        )
        if self._context.caller is None:
            self._run.budget.recorded(steps_of_tree(self._ledger, self._run.id))
        self._announce(match)
        here = self._run.connection.session.info.id
        done = [r for r in self._done().values() if r.turn_id and r.session_id == here]
        await check_context(self._run.connection.session, done)

    def _skip_before(self, start_at: str | None) -> None:
        """Settle the steps before a place, which the user does not want."""
        before = position_of(start_at) - 1 if start_at is not None else 0
        left = [(step, self._last(step)) for step in self._context.plan.steps[:before]]
        skipped = [(step, last) for step, last in left if last is None or not last.status.settled]
        for step, last in skipped:
            skip(step, last, self._run)
        if skipped:
            places = ", ".join(str(step.path) for step, _ in skipped[:_SHOWN])
            more = f" and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
            self._context.emit(Warned(message=f"skipped (--from {start_at}): step {places}{more}"))

    async def _settle_open_turns(self) -> None:
        """Decide about prompts whose end was not seen before anything else is sent."""
        session = self._run.connection.session
        ref = SessionRef(session.info.adapter, session.info.id)
        for run in self._ledger.runs_of(ref):
            if not run.status.unfinished:
                continue
            for record in self._ledger.steps(run.id):
                if record.status.settled or not record.turn_id or record.session_id != ref.id:
                    continue
                outcome = await clear_context(session, self._ledger, record)
                if record.value is not None:  # its step looks whether the answer fits
                    continue
                if outcome is not None and outcome.status is OutcomeStatus.FINISHED:
                    if run.id == self._run.id:
                        await self._run.look(record)
                    self._turns.record_found(record, outcome)

    def _refuse_undecided(self, start_at: str) -> None:
        """Raise UsageError for a place in a block of which nothing says that it is entered."""
        for outer in outer_paths(start_at):
            record = self._ledger.step(self._run.id, outer)
            if record is None or record.status is not StepStatus.DONE:
                raise UsageError(f"--from {start_at}: step {outer} has not decided anything yet")

    async def _together(
        self, step: PlannedStep, calls: Sequence[PlannedStep], items: Sequence[Any]
    ) -> Sequence[StepRecord]:
        """Settle the CALLs of a FOR side by side. Raises what `call_together` raises."""
        known = [(call, item, self._last(call)) for call, item in zip(calls, items, strict=True)]
        self._run.budget.foresee(step.path, sum(record is None for _, _, record in known))
        left = {c.path for c, _, last in known if last is None or not last.status.settled}
        rounds = [(call, item) for call, item, _ in known]
        await call_together(self._run, step, rounds, left, self._step)
        return [await self._step(call) for call in calls]

    async def _settle(self, step: PlannedStep) -> StepRecord:
        record = await self._step(step)
        if isinstance(step.action, IfStep | ForStep) and record.attempts > 1:
            await self._place_lists(step)
        return record

    async def _place_lists(self, step: PlannedStep) -> None:
        """Let the lists of a block that was decided anew go where they belong now. They stand as
        the first decision had them for as long as that is part of the run, whatever is killed.
        """
        attempts = self._ledger.attempts_at(self._run.id, step.path)
        values = [value_of(a) for a in attempts if a.status is StepStatus.DONE]
        if len(values) < 2:
            return
        kept = kept_parts(step, values[0], values[-1])
        parts = ((r, part_of(r.path, step.path)) for r in self._ledger.steps(self._run.id))
        gone = [r for r, part in parts if part is not None and part not in kept]
        await settle_leftovers(self._run, [r for r in gone if r.may_be_half_done])
        place_lists(self._ledger, self._run.id, step.path, kept)

    async def _step(self, step: PlannedStep, caller: Caller | None = None) -> StepRecord:
        record = self._last(step)
        if record is not None and record.status.settled and not is_outdated(step, record):
            if record.status is StepStatus.DONE:
                self._done_before.append(step)
            return record
        if self._first and path_key(step.path) < self._first:
            return skip(step, record, self._run)
        if record is None:
            self._run.budget.unfold(step.path)
        self._run.budget.check_time()
        if not isinstance(step.action, PauseStep | ConsultStep | CheckpointStep):
            while self._done_before:
                await start_again(self._done_before.pop(0), self._run)
        await self._run.tree.begin(self._run.connection.session.info.id, step.path)
        step = worded(step, self._run)
        attempt = (record.attempts if record else 0) + 1
        self._context.emit(
            StepStarted(
                run_id=self._run.id,
                position=step.position,
                path=step.path,
                cycle=step.cycle,
                kind=step.kind,
                title=step.title,
                attempt=attempt,
            )
        )
        begun = time.monotonic()
        try:
            done = await self._execute(step, record, caller)
        except PausedError:
            raise
        except SdqctlError as error:
            self._tell_end(step, attempt, self._last(step), error, begun)
            raise
        self._tell_end(step, attempt, done, None, begun)
        if self._context.after_step is not None:
            here = self._run.connection.session.info
            await self._context.after_step(SessionRef(here.adapter, here.id))
        return done

    async def _execute(
        self, step: PlannedStep, record: StepRecord | None, caller: Caller | None
    ) -> StepRecord:
        """Do a step. One death of the runtime is survived also where no turn runs."""
        if caller is not None and isinstance(step.action, CallStep):
            return await call(step, step.action, record, self._run, caller)
        if not isinstance(step.action, NewConversationStep):
            return await execute(step, record, self._run, self._turns)
        try:
            return await execute(step, record, self._run, self._turns)
        except RuntimeDiedError as error:
            await self._start_anew(error)
        return await execute(step, self._last(step), self._run, self._turns)

    async def _start_anew(self, error: RuntimeDiedError) -> None:
        self._context.emit(Warned(message=f"{error.message}; a new one is started"))
        await self._turns.reopen()

    def _tell_end(
        self,
        step: PlannedStep,
        attempt: int,
        record: StepRecord | None,
        error: SdqctlError | None,
        begun: float,
    ) -> None:
        """`attempt` is the first that this process may have begun: it can tell how long it took."""
        status = StepStatus.FAILED if error else StepStatus.DONE
        seconds = None
        if record is not None and record.completed_at is not None:
            own = record.attempts >= attempt
            seconds = time.monotonic() - begun if own else record.seconds
            status = record.status
        self._context.emit(
            StepFinished(
                run_id=self._run.id,
                position=step.position,
                path=step.path,
                cycle=step.cycle,
                kind=step.kind,
                title=step.title,
                status=status,
                response=(record.response or "") if record else "",
                usage=record.usage if record else Usage(),
                error=error.message if error else None,
                tolerated=record.tolerated if record else None,
                exit_status=record.exit_status if record else None,
                seconds=seconds,
            )
        )

    def _announce(self, match: Match) -> None:
        records = self._ledger.steps(self._run.id)
        steps = [record.status for record in records if record.path not in match.outdated]
        self._context.emit(
            RunStarted(
                run_id=self._run.id,
                workflow=self._run.record.workflow,
                steps_total=match.total,
                steps_done=sum(status.settled for status in steps),
                steps_changed=len(match.changed),
                steps_skipped=steps.count(StepStatus.SKIPPED),
            )
        )

    def _last(self, step: PlannedStep) -> StepRecord | None:
        return self._ledger.step(self._run.id, step.path)

    def _done(self) -> dict[str, StepRecord]:
        steps = self._ledger.steps(self._run.id)
        return {r.path: r for r in steps if r.status is StepStatus.DONE}

    async def _abort(self) -> None:
        """Stop the running turn, within bounded time, whatever state the runtime is in."""
        try:
            async with asyncio.timeout(_ABORT_SECONDS):
                await self._run.connection.abort()
        except (TimeoutError, SdqctlError) as error:
            self._context.emit(Warned(message=f"the turn could not be aborted: {error}"))

    def _end(self, status: RunStatus, message: str | None) -> RunRecord:
        changes = {**self._total(status), **self._run.budget.ended}
        self._ledger.update_run(self._run.id, status=status, message=message, **changes)
        run = self._ledger.run(self._run.id)
        assert run is not None, "a run that is being driven is in the ledger"
        self._context.emit(
            RunFinished(
                run_id=run.id,
                status=status,
                steps_done=run.steps_done,
                steps_total=run.steps_total,
                message=message,
                files_changed=self._run.tree.changed(look=status is RunStatus.FAILED),
            )
        )
        return run

    def _total(self, status: RunStatus) -> dict[str, int]:
        """How many steps there are, where blocks unfolded to more, or STOP left some out."""
        if not any(step.lists or step.kind in _ENDING for step in self._context.plan.steps):
            return {}
        run = self._ledger.run(self._run.id)
        done = run.steps_done if run is not None else 0
        left = len(self._context.plan.steps) + self._unfolding.steps
        return {"steps_total": done if status is RunStatus.COMPLETED else max(done, left)}

    def _where(self) -> str:
        run = self._ledger.run(self._run.id)
        return f"{run.steps_done} of {run.steps_total} steps are done" if run else "nothing is done"


def _status_after(error: SdqctlError) -> RunStatus:
    """A step that failed leaves a failed run; what only has to wait leaves an interrupted one."""
    waits = isinstance(error, BusyError | InterruptedRunError)
    return RunStatus.INTERRUPTED if waits else RunStatus.FAILED

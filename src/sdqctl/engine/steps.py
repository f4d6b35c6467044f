"""What each kind of step does. Every step is begun in the ledger before it acts."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import cache, partial
from typing import assert_never, cast

from sdqctl.adapters.base import Compacts, find_power, power
from sdqctl.engine.calls import call
from sdqctl.engine.captures import WantedAnswer, wanted_answer
from sdqctl.engine.command.step import run_step, wait_step, wanted
from sdqctl.engine.context import LiveRun
from sdqctl.engine.decisions import Deciding, decide
from sdqctl.engine.turns import TurnRunner
from sdqctl.errors import PausedError, RuntimeDiedError, StepError
from sdqctl.model.events import Warned
from sdqctl.model.paths import following, number_of, sibling
from sdqctl.model.plan import OutputPart, PlannedStep, PromptAction, list_of
from sdqctl.model.run import RunStatus, StepRecord, StepStatus
from sdqctl.model.session import SessionInfo, SessionRef, folded
from sdqctl.model.workflow import (
    CallStep,
    CheckpointStep,
    CompactStep,
    ConsultStep,
    NewConversationStep,
    OnError,
    PauseStep,
    RunStep,
    RunWaitStep,
    VerifyStep,
)
from sdqctl.workflow.render import Told, render_prompt
from sdqctl.workflow.verify import verify

Acting = (
    PromptAction
    | RunStep
    | RunWaitStep
    | VerifyStep
    | CompactStep
    | CheckpointStep
    | PauseStep
    | ConsultStep
    | NewConversationStep
    | CallStep
)
"""Steps that do something, and decide nothing."""


async def execute(
    step: PlannedStep, record: StepRecord | None, run: LiveRun, turns: TurnRunner
) -> StepRecord:
    """Do one step, or finish what an earlier process began of it (`record`).

    Raises PausedError, StepError and what the turn raises.
    """
    if not _condition_holds(step, run):
        run.begin(step)
        return run.finish(step, StepStatus.SKIPPED)
    if isinstance(step.action, Deciding):
        return decide(step, step.action, record, run)
    return await _act(step, step.action, record, run, turns)


async def _act(
    step: PlannedStep,
    action: Acting,
    record: StepRecord | None,
    run: LiveRun,
    turns: TurnRunner,
) -> StepRecord:
    match action:
        case PromptAction():
            return await _prompt(step, action, record, run, turns)
        case RunStep():
            return await run_step(step, record, run)
        case RunWaitStep():
            return await wait_step(step, record, run)
        case VerifyStep():
            return await _verify(step, action, run)
        case CompactStep():
            return await _compact(step, action, run, turns)
        case CheckpointStep():
            run.begin(step)
            return run.finish(step, StepStatus.DONE)
        case PauseStep() | ConsultStep():
            return _stop_for_human(step, action, record, run)
        case NewConversationStep():
            return await _new_conversation(step, record, run)
        case CallStep():
            return await call(step, action, record, run)
        case _:
            assert_never(action)


def skip(step: PlannedStep, record: StepRecord | None, run: LiveRun) -> StepRecord:
    """Settle a step without doing it; `record` is its last attempt, which has no outcome yet."""
    if record is None or record.status is not StepStatus.BEGUN:
        run.begin(step)
    return run.finish(step, StepStatus.SKIPPED)


async def _prompt(
    step: PlannedStep,
    action: PromptAction,
    record: StepRecord | None,
    run: LiveRun,
    turns: TurnRunner,
) -> StepRecord:
    begun = record is not None and record.turn_id is not None
    if not begun:
        await _keep_within_limit(step, action, run, turns)
    wanted = wanted_answer(action, run.context)
    render = cache(partial(_render, step, run, wanted))
    async with run.budget.turn():
        return await turns.answer(step, render, begun=begun, wanted=wanted)


def _render(step: PlannedStep, run: LiveRun, wanted: WantedAnswer | None) -> str:
    """The text of a prompt. Raises StepError for one that is empty, and what rendering raises."""
    rendered = render_prompt(
        run.context.plan,
        step,
        outputs=_outputs(step, run),
        variables=run.context.variables_of(step),
        roots=run.context.roots,
        told=_told(step, run),
    )
    for warning in rendered.warnings:
        run.context.emit(Warned(message=f"step {step.path}: {warning}"))
    if not rendered.text.strip():
        raise StepError(f"step {step.path}: the prompt is empty")
    told = wanted.instruction() if wanted is not None else ""
    return f"{rendered.text}\n\n{told}" if told else rendered.text


async def _keep_within_limit(
    step: PlannedStep, action: PromptAction, run: LiveRun, turns: TurnRunner
) -> None:
    """Do what ON-CONTEXT-LIMIT says when the context is fuller than CONTEXT-LIMIT."""
    if action.context_limit is None or action.on_context_limit == "continue":
        return
    session = find_power(run.connection.session, Compacts)
    fill = None if session is None else await _fill(session)
    if fill is None or fill < action.context_limit:
        return
    message = f"the context is {fill:.0%} full, CONTEXT-LIMIT is {action.context_limit:.0%}"
    if action.on_context_limit == "stop":
        raise StepError(message, hint="raise the limit, or let ON-CONTEXT-LIMIT compact")
    run.context.emit(Warned(message=f"{message}: compacting"))
    async with run.budget.turn():
        await turns.compact(step, action.on_context_limit_prompt, recorded=False)


async def _fill(session: Compacts) -> float | None:
    """How full the context is, from 0 to 1, by the runtime's own figures; None: not known."""
    try:
        use = await session.context_use()
    except RuntimeDiedError:  # the next turn finds it dead as well, and goes on with a new one
        return None
    return None if use is None or use.limit <= 0 else use.used / use.limit


async def _verify(step: PlannedStep, action: VerifyStep, run: LiveRun) -> StepRecord:
    run.begin(step)
    result = await asyncio.to_thread(verify, action, run.context.roots)
    text = result.text if wanted(action.output, 0 if result.ok else 1) else ""
    if result.ok or action.on_error is OnError.CONTINUE:
        error = None if result.ok else "problems were found"
        return run.finish(step, StepStatus.DONE, response=text, error=error)
    run.finish(step, StepStatus.FAILED, response=text, error=result.text)
    raise StepError(
        f"step {step.path}: VERIFY {action.check} found problems\n{result.text}",
        hint="fix them and go on, or write VERIFY-ON-ERROR continue before it",
    )


async def _compact(
    step: PlannedStep, action: CompactStep, run: LiveRun, turns: TurnRunner
) -> StepRecord:
    session = power(run.connection.session, Compacts, "COMPACT")
    least, fill = run.context.plan.workflow.context.compaction_min, await _fill(session)
    if least is not None and fill is not None and fill < least:
        why = f"not compacted: the context is {fill:.0%} full, COMPACTION-MIN is {least:.0%}"
        run.context.emit(Warned(message=f"step {step.path}: {why}"))
        run.begin(step)
        return run.finish(step, StepStatus.DONE, response=why)
    async with run.budget.turn():
        return cast("StepRecord", await turns.compact(step, action.instructions))


async def _new_conversation(
    step: PlannedStep, record: StepRecord | None, run: LiveRun
) -> StepRecord:
    """Go on in an empty session. Its name is recorded before the session is created."""
    if record is None or not record.prompt:
        taken = {key for info in await _sessions(run) for key in info.keys}
        numbers = (f"{run.context.target.name} ({n})" for n in range(2, len(taken) + 3))
        record = run.begin(step, prompt=next(n for n in numbers if folded(n) not in taken))
    name = cast("str", record.prompt)
    session = await run.connection.move_to(name)
    run.context.ledger.record_session(
        SessionRef(session.info.adapter, session.info.id),
        name=name,
        cwd=str(run.context.cwd),
        created_at=datetime.now(UTC),
    )
    run.context.ledger.update_run(run.id, session_id=session.info.id)
    return run.finish(step, StepStatus.DONE)


def _stop_for_human(
    step: PlannedStep,
    action: PauseStep | ConsultStep,
    record: StepRecord | None,
    run: LiveRun,
) -> StepRecord:
    """Wait for a human. Only what was shown is passed: the process that stopped here may have been
    killed before it had written its message.
    """
    if record is not None and record.shown_at is not None:
        if isinstance(action, ConsultStep):
            _check_consultation(step, action, record.shown_at)
        return run.finish(step, StepStatus.DONE)
    message = _message(action)
    run.context.ledger.update_run(run.id, status=RunStatus.PAUSED, message=message)
    if record is None:
        run.begin(step)
    raise PausedError(message, path=step.path)


def _check_consultation(step: PlannedStep, action: ConsultStep, shown_at: datetime) -> None:
    if action.timeout is None:
        return
    waited = time.time() - shown_at.timestamp()
    if waited > action.timeout:
        raise StepError(
            f"step {step.path}: the consultation waited longer than CONSULT-TIMEOUT allows",
            hint=f"go on after it with `--from {following(step.path)}`",
        )


def _message(action: PauseStep | ConsultStep) -> str:
    match action:
        case PauseStep():
            return action.message or "paused"
        case ConsultStep():
            return f"consult: {action.topic}"
        case _:
            assert_never(action)


async def _sessions(run: LiveRun) -> list[SessionInfo]:
    adapter = await run.connection.adapter()
    return list(await adapter.list_sessions())


def _condition_holds(step: PlannedStep, run: LiveRun) -> bool:
    if step.condition is None:
        return True
    for position in reversed(step.condition.positions):
        record = run.context.ledger.step(run.id, sibling(step.path, position))
        if record is not None and record.exit_status is not None:
            return (record.exit_status == 0) is (step.condition.when == "success")
    return False


def _outputs(step: PlannedStep, run: LiveRun) -> dict[int, str]:
    """The outputs that this prompt takes: those of its own that no earlier prompt has taken."""
    wanted = _shown_by(step)
    if not wanted:
        return {}
    number = number_of(step.path)
    for earlier in reversed(list_of(run.context.plan, step.path)[min(wanted) : number - 1]):
        path = sibling(step.path, number_of(earlier.path))
        if (theirs := _shown_by(earlier) & wanted) and _is_done(path, run):
            wanted -= theirs
    places = ((number, sibling(step.path, number)) for number in sorted(wanted))
    records = ((number, run.context.ledger.step(run.id, path)) for number, path in places)
    return {number: record.response or "" for number, record in records if record is not None}


def _told(step: PlannedStep, run: LiveRun) -> Told:
    """What only the run knows of a prompt."""
    shown = {sibling(step.path, number) for number in _shown_by(step)}
    return Told(
        values=run.scope.values,
        outputs=run.scope.outputs(but=shown),
        first=run.scope.is_first_prompt(step.cycle),
    )


def _shown_by(step: PlannedStep) -> set[int]:
    """The positions of the steps whose output a prompt shows."""
    if not isinstance(step.action, PromptAction):
        return set()
    return {part.position for part in step.action.parts if isinstance(part, OutputPart)}


def _is_done(path: str, run: LiveRun) -> bool:
    record = run.context.ledger.step(run.id, path)
    return record is not None and record.status is StepStatus.DONE

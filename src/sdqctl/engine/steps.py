"""What each kind of step does. Every step is begun in the ledger before it acts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import cast

from sdqctl.adapters.base import Capability, Compacts
from sdqctl.conversation.render import Roots, render_prompt
from sdqctl.conversation.verify import verify
from sdqctl.engine.background import Background
from sdqctl.engine.commands import (
    clear_marks,
    found_end,
    has_ended,
    marking_wrapper,
    run_marked,
    tell,
)
from sdqctl.engine.connection import Connection
from sdqctl.engine.options import RunOptions
from sdqctl.engine.turns import Sink, TurnRunner
from sdqctl.errors import PausedError, StepError
from sdqctl.model.events import Warned
from sdqctl.model.run import RunStatus, StepRecord, StepStatus
from sdqctl.model.session import SessionInfo, SessionRef
from sdqctl.model.workflow import (
    CompactStep,
    ConsultStep,
    OnError,
    OutputPart,
    OutputRule,
    PauseStep,
    Plan,
    PlannedStep,
    PromptAction,
    RunStep,
    RunWaitStep,
    VerifyStep,
)
from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """What steps stand on. `variables` gives the template variables of a step's cycle."""

    run_id: str
    session_name: str
    plan: Plan
    ledger: Ledger
    connection: Connection
    options: RunOptions
    roots: Roots
    cwd: Path
    environment: Mapping[str, str]
    variables: Callable[[PlannedStep], Mapping[str, str]]
    background: Background
    commands_folder: Path
    emit: Sink


async def carry_out(
    step: PlannedStep, record: StepRecord | None, context: StepContext, turns: TurnRunner
) -> StepRecord:
    """Do one step, or finish what an earlier process began of it (`record`).

    Raises PausedError, StepError and what the turn raises.
    """
    if not _condition_holds(step, context):
        _begin(step, context)
        return _finish(step, context, StepStatus.SKIPPED)
    if isinstance(step.action, PromptAction):
        return await _prompt(step, step.action, record, context, turns)
    return await _ACTIONS[step.kind](step, record, context)


def skip(step: PlannedStep, record: StepRecord | None, context: StepContext) -> None:
    """Settle a step without doing it; `record` is its last attempt, which has no outcome yet."""
    if record is None or record.status is not StepStatus.BEGUN:
        _begin(step, context)
    _finish(step, context, StepStatus.SKIPPED)


async def _prompt(
    step: PlannedStep,
    action: PromptAction,
    record: StepRecord | None,
    context: StepContext,
    turns: TurnRunner,
) -> StepRecord:
    begun = record is not None and record.turn_id is not None
    if not begun:
        await _keep_within_limit(action, context)
    return await turns.answer(step, cache(partial(_render, step, context)), begun=begun)


def _render(step: PlannedStep, context: StepContext) -> str:
    """The text of a prompt. Raises StepError for one that is empty, and what rendering raises."""
    rendered = render_prompt(
        context.plan,
        step,
        outputs=_outputs(step, context),
        variables=context.variables(step),
        roots=context.roots,
    )
    for warning in rendered.warnings:
        context.emit(Warned(message=f"step {step.position}: {warning}"))
    if not rendered.text.strip():
        raise StepError(f"step {step.position}: the prompt is empty")
    return rendered.text


async def _keep_within_limit(action: PromptAction, context: StepContext) -> None:
    """Do what ON-CONTEXT-LIMIT says when the context is fuller than CONTEXT-LIMIT."""
    session = context.connection.session
    if action.context_limit is None or action.on_context_limit == "continue":
        return
    if not isinstance(session, Compacts):
        return
    fill = await _fill(session)
    if fill is None or fill < action.context_limit:
        return
    message = f"the context is {fill:.0%} full, CONTEXT-LIMIT is {action.context_limit:.0%}"
    if action.on_context_limit == "stop":
        raise StepError(message, hint="raise the limit, or let ON-CONTEXT-LIMIT compact")
    context.emit(Warned(message=f"{message}: compacting"))
    await session.compact(action.on_context_limit_prompt)


async def _fill(session: Compacts) -> float | None:
    """How full the context is, from 0 to 1, by the runtime's own figures."""
    use = await session.context_use()
    return None if use is None or use.limit <= 0 else use.used / use.limit


async def _run(step: PlannedStep, record: StepRecord | None, context: StepContext) -> StepRecord:
    action = cast("RunStep", step.action)
    if action.background:
        clear_marks(step, context)
        _begin(step, context)
        await context.background.start(action, marking_wrapper(step, context))
        return _finish(step, context, StepStatus.DONE, response=f"$ {action.command} &")
    result = found_end(step, action, record, context)
    if result is None:
        clear_marks(step, context)
        _begin(step, context)
        result = await run_marked(step, action, context)
    text = result.text if _wanted(action, result.exit_status) else ""
    ok = result.exit_status == 0
    goes_on = ok or action.on_error is OnError.CONTINUE or _handled(step, context)
    status = StepStatus.DONE if goes_on else StepStatus.FAILED
    error = None if ok else f"exit status {result.exit_status}"
    done = _finish(
        step, context, status, response=text, exit_status=result.exit_status, error=error
    )
    if not goes_on:
        raise StepError(
            f"step {step.position}: `{action.command}` ended with {error}\n{result.text}".rstrip(),
            hint="mend it and go on, or write RUN-ON-ERROR continue before it",
        )
    return done


async def start_again(step: PlannedStep, context: StepContext) -> None:
    """Start the command of a done RUN-ASYNC again; it ended with an earlier process.

    Not if it had come to its end before. Raises StepError when its folder is not there.
    """
    action = step.action
    if not isinstance(action, RunStep) or not action.background or has_ended(step, context):
        return
    clear_marks(step, context)
    tell(step, context, "restarted", f"`{action.command}` works in the background again")
    await context.background.start(action, marking_wrapper(step, context))


async def _run_wait(
    step: PlannedStep, record: StepRecord | None, context: StepContext
) -> StepRecord:
    _begin(step, context)
    await asyncio.sleep(cast("RunWaitStep", step.action).seconds)
    return _finish(step, context, StepStatus.DONE, response=context.background.output())


async def _verify(step: PlannedStep, record: StepRecord | None, context: StepContext) -> StepRecord:
    action = cast("VerifyStep", step.action)
    _begin(step, context)
    result = await asyncio.to_thread(verify, action, context.roots)
    text = result.text if _wanted(action, 0 if result.ok else 1) else ""
    if result.ok or action.on_error is OnError.CONTINUE:
        error = None if result.ok else "problems were found"
        return _finish(step, context, StepStatus.DONE, response=text, error=error)
    _finish(step, context, StepStatus.FAILED, response=text, error=result.text)
    raise StepError(
        f"step {step.position}: VERIFY {action.check} found problems\n{result.text}",
        hint="mend them and go on, or write VERIFY-ON-ERROR continue before it",
    )


async def _compact(
    step: PlannedStep, record: StepRecord | None, context: StepContext
) -> StepRecord:
    await context.connection.require(Capability.COMPACTS, "COMPACT")
    session = cast("Compacts", context.connection.session)
    _begin(step, context)
    least, fill = context.plan.workflow.context.compaction_min, await _fill(session)
    if least is not None and fill is not None and fill < least:
        why = f"not compacted: the context is {fill:.0%} full, COMPACTION-MIN is {least:.0%}"
        context.emit(Warned(message=f"step {step.position}: {why}"))
        return _finish(step, context, StepStatus.DONE, response=why)
    compaction = await session.compact(cast("CompactStep", step.action).instructions)
    return _finish(step, context, StepStatus.DONE, response=compaction.summary)


async def _new_conversation(
    step: PlannedStep, record: StepRecord | None, context: StepContext
) -> StepRecord:
    """Go on in an empty session. Its name is recorded before the session is created."""
    if record is None or not record.prompt:
        names = {info.label.casefold() for info in await _sessions(context)}
        numbers = (f"{context.session_name} ({n})" for n in range(2, len(names) + 3))
        record = _begin(step, context, prompt=next(n for n in numbers if n.casefold() not in names))
    name = cast("str", record.prompt)
    session = await context.connection.move_to(name)
    context.ledger.record_session(
        SessionRef(session.info.adapter, session.info.id),
        name=name,
        cwd=str(context.cwd),
        created_at=datetime.now(UTC),
    )
    context.ledger.update_run(context.run_id, session_id=session.info.id)
    return _finish(step, context, StepStatus.DONE)


async def _checkpoint(
    step: PlannedStep, record: StepRecord | None, context: StepContext
) -> StepRecord:
    _begin(step, context)
    return _finish(step, context, StepStatus.DONE)


async def _stop_for_human(
    step: PlannedStep, record: StepRecord | None, context: StepContext
) -> StepRecord:
    """Wait for a human. Only what was shown is passed: the process that stopped here may have been
    killed before it had written its message.
    """
    if record is not None and record.shown_at is not None:
        if isinstance(step.action, ConsultStep):
            _check_consultation(step, step.action, record.shown_at)
        return _finish(step, context, StepStatus.DONE)
    message = _message(step)
    context.ledger.update_run(context.run_id, status=RunStatus.PAUSED, message=message)
    if record is None:
        _begin(step, context)
    raise PausedError(message, position=step.position)


def _check_consultation(step: PlannedStep, action: ConsultStep, shown_at: datetime) -> None:
    if action.timeout is None:
        return
    waited = time.time() - shown_at.timestamp()
    if waited > action.timeout:
        raise StepError(
            f"step {step.position}: the consultation waited longer than CONSULT-TIMEOUT allows",
            hint=f"go on behind it with `--from {step.position + 1}`",
        )


def _message(step: PlannedStep) -> str:
    if isinstance(step.action, PauseStep):
        return step.action.message or "paused"
    return f"consult: {cast('ConsultStep', step.action).topic}"


async def _sessions(context: StepContext) -> list[SessionInfo]:
    adapter = await context.connection.adapter()
    return list(await adapter.list_sessions())


def _wanted(action: RunStep | VerifyStep, exit_status: int) -> bool:
    """Whether the output goes to the model."""
    if action.output is OutputRule.ON_ERROR:
        return exit_status != 0
    return action.output is OutputRule.ALWAYS


def _handled(step: PlannedStep, context: StepContext) -> bool:
    """Whether an ON-FAILURE block behind a RUN takes care of its failure."""
    return any(
        s.condition is not None
        and step.position in s.condition.positions
        and s.condition.when == "failure"
        for s in context.plan.steps[step.position :]
    )


def _condition_holds(step: PlannedStep, context: StepContext) -> bool:
    if step.condition is None:
        return True
    for position in reversed(step.condition.positions):
        record = context.ledger.step(context.run_id, position)
        if record is not None and record.exit_status is not None:
            return (record.exit_status == 0) is (step.condition.when == "success")
    return False


def _outputs(step: PlannedStep, context: StepContext) -> dict[int, str]:
    """The outputs that this prompt takes: those of its own that no earlier prompt has taken."""
    wanted = _shown_by(step)
    if not wanted:
        return {}
    for earlier in reversed(context.plan.steps[min(wanted) : step.position - 1]):
        if (theirs := _shown_by(earlier) & wanted) and _is_done(earlier, context):
            wanted -= theirs
    records = (context.ledger.step(context.run_id, position) for position in sorted(wanted))
    return {record.position: record.response or "" for record in records if record is not None}


def _shown_by(step: PlannedStep) -> set[int]:
    """The positions of the steps whose output a prompt shows."""
    if not isinstance(step.action, PromptAction):
        return set()
    return {part.position for part in step.action.parts if isinstance(part, OutputPart)}


def _is_done(step: PlannedStep, context: StepContext) -> bool:
    record = context.ledger.step(context.run_id, step.position)
    return record is not None and record.status is StepStatus.DONE


def _begin(step: PlannedStep, context: StepContext, *, prompt: str | None = None) -> StepRecord:
    return context.ledger.begin_step(
        context.run_id,
        position=step.position,
        cycle=step.cycle,
        kind=step.kind,
        title=step.title,
        digest=step.digest,
        session_id=context.connection.session.info.id,
        prompt=prompt,
    )


def _finish(
    step: PlannedStep,
    context: StepContext,
    status: StepStatus,
    *,
    response: str | None = None,
    error: str | None = None,
    exit_status: int | None = None,
) -> StepRecord:
    return context.ledger.finish_step(
        context.run_id,
        step.position,
        status,
        response=response,
        error=error,
        exit_status=exit_status,
    )


_Action = Callable[[PlannedStep, "StepRecord | None", StepContext], Awaitable[StepRecord]]
_ACTIONS: dict[str, _Action] = {
    "run": _run,
    "run-wait": _run_wait,
    "verify": _verify,
    "compact": _compact,
    "checkpoint": _checkpoint,
    "pause": _stop_for_human,
    "consult": _stop_for_human,
    "new-conversation": _new_conversation,
}

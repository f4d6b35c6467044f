"""RUN steps: a command's end and its output are known after a kill.

A step found begun whose command was never started is run; one whose command ended is recorded with
what it said; of one that was cut off in between, or of which nothing is known, the user decides.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sdqctl.engine.audit import note_net_refusal
from sdqctl.engine.captures import command_value
from sdqctl.engine.command.process import (
    TIMED_OUT,
    CommandResult,
    Limit,
    end_command,
    format_output,
    run_command,
)
from sdqctl.errors import SharedTreeError, StepError
from sdqctl.model.events import NetRefused, Warned
from sdqctl.model.options import OnInterrupted
from sdqctl.model.paths import first_round, following, number_of
from sdqctl.model.plan import PlannedStep, list_of
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.workflow import OnError, OutputRule, RunStep, RunWaitStep
from sdqctl.store.evidence import ENDED, Evidence
from sdqctl.text.duration import format_duration
from sdqctl.workflow.expansion import expand

if TYPE_CHECKING:
    from sdqctl.engine.context import LiveRun

_OWN_LIMIT = "RUN-TIMEOUT"


async def run_step(step: PlannedStep, record: StepRecord | None, run: LiveRun) -> StepRecord:
    """Do a RUN. Raises StepError when its command failed and that is not tolerated."""
    action = _expanded(step, cast("RunStep", step.action), run)
    if action.background:
        return await _start_beside(step, action, record, run)
    result = await _found_end(step, action, record, run)
    if result is None:
        evidence = _begin(step, run)
        limit = _limit(run, (action.timeout, _OWN_LIMIT))
        result = await run_command(
            action,
            evidence,
            cwd=run.context.cwd,
            environment=run.context.setup.command_environment,
            limit=limit,
            sandbox=run.sandbox,
        )
        _tell_refusals(result, action, run)
    await run.look(step)
    return _record(step, action, result, run)


def _record(step: PlannedStep, action: RunStep, result: CommandResult, run: LiveRun) -> StepRecord:
    text = format_output(action.command, result, action.output_limit)
    stopped = result.limit is not None and not result.limit.startswith(_OWN_LIMIT)
    ok = result.exit_status == 0
    value, unfit = _value(step, action, result, text, run)
    tolerated = action.on_error is OnError.CONTINUE or _handled(step, run)
    goes_on = (ok or (tolerated and not stopped)) and unfit is None
    error = unfit if ok else _error(result)
    done = run.finish(
        step,
        StepStatus.DONE if goes_on else StepStatus.FAILED,
        response=text if wanted(action.output, result.exit_status) else "",
        exit_status=result.exit_status,
        error=error,
        value=value,
    )
    if goes_on:
        return done
    if stopped:
        run.budget.check()
    if unfit is not None and (ok or tolerated):
        raise StepError(
            f"step {step.path}: `{action.command}` {unfit}", hint="`sdqctl resume` runs it again"
        )
    hint = "raise the limit" if stopped else "fix it, or write RUN-ON-ERROR continue before it"
    raise StepError(
        f"step {step.path}: `{action.command}` failed: {error}\n{text}".rstrip(), hint=hint
    )


def _value(
    step: PlannedStep, action: RunStep, result: CommandResult, text: str, run: LiveRun
) -> tuple[str | None, str | None]:
    """What CAPTURE makes of a command, and why it can make nothing of it."""
    if action.capture is None:
        return None, None
    record = run.context.ledger.step(run.id, step.path)
    begun = record.started_at if record is not None else None
    seconds = (datetime.now(UTC) - begun).total_seconds() if begun is not None else 0.0
    try:
        value = command_value(
            action.capture,
            run.context,
            text=text,
            stdout=result.stdout,
            status=result.exit_status,
            seconds=max(0.0, seconds),
        )
    except ValueError as error:
        return None, f"wrote what does not fit its CAPTURE: {error}"
    return value, None


def _tell_refusals(result: CommandResult, action: RunStep, run: LiveRun) -> None:
    """Say which paths the net kept the command from, as far as its output names them."""
    folder = run.context.cwd / Path(action.cwd or "").expanduser()
    for refusal in run.sandbox.refusals(result.output.text, folder):
        event = NetRefused(
            run_id=run.id,
            by=run.sandbox.kind,
            access=refusal.access,
            path=refusal.path,
            hint=refusal.hint,
        )
        note_net_refusal(run.context.ledger, run.id, event)
        run.context.emit(event)


def _error(result: CommandResult) -> str:
    if result.limit is not None:
        return f"ended by its time limit ({result.limit})"
    return f"exit status {result.exit_status}"


async def _found_end(
    step: PlannedStep, action: RunStep, record: StepRecord | None, run: LiveRun
) -> CommandResult | None:
    """How an earlier process's run of the command ended; None: it is to be run (again).

    Raises StepError when it was cut off in the middle and may not be run again unasked.
    """
    if record is None or record.status is not StepStatus.BEGUN:
        return None
    found = run.commands.found(record)
    if found.ended is not None:
        message = f"the command had ended with status {found.ended}"
        run.recovered(step, "recorded", message)
        return CommandResult.of(found, found.ended)
    if (limit := found.limit) is not None:
        run.recovered(step, "recorded", f"the command was ended by its time limit ({limit})")
        return CommandResult.of(found, TIMED_OUT, limit)
    end_command(found)
    if found.exists and not found.started:
        run.recovered(step, "rerun", "the command had not been started; run now")
        return None
    await _may_run_again(step, action, record, run)
    return None


async def _may_run_again(
    step: PlannedStep, action: RunStep, record: StepRecord, run: LiveRun
) -> None:
    """Take back what a command changed that was cut off, where that is asked for. Raises StepError
    where it may not be run again.
    """
    first = " (with `rewind` what it changed is taken back first)"
    if run.on_interrupted is OnInterrupted.REWIND:
        try:
            await run.tree.go_back(record, record, [action.command])
        except SharedTreeError as error:
            run.context.emit(Warned(message=f"{error.message} ({error.hint})"))
            first = ""
        else:
            message = "the command was cut off; what it had changed is taken back"
            run.recovered(step, "rewound", message)
            return
    if action.repeatable or run.on_interrupted is OnInterrupted.RESEND:
        run.recovered(step, "rerun", "the command was cut off; run again")
        return
    raise StepError(
        f"step {step.path}: `{action.command}` was cut off, and whether it took effect "
        "is not known",
        hint=f"run it again with `--on-interrupted resend`{first}, or go on after it with "
        f"`--from {following(step.path)}`",
    )


async def _start_beside(
    step: PlannedStep, action: RunStep, record: StepRecord | None, run: LiveRun
) -> StepRecord:
    """Start a RUN-ASYNC, unless an earlier process did so and it came to its end. What it said
    there is reported either way.
    """
    found = None
    if record is not None and record.status is StepStatus.BEGUN:
        found = run.commands.found(record)
        if found.started:
            run.background.adopt(action, found)
    if found is not None and found.ended is not None:
        run.recovered(step, "recorded", f"the command had ended with status {found.ended}")
    else:
        if found is not None:
            end_command(found)
        await run.background.start(action, _begin(step, run))
    return run.finish(step, StepStatus.DONE, response=f"$ {action.command} &")


async def start_again(step: PlannedStep, run: LiveRun) -> None:
    """Start the command of a done RUN-ASYNC again; it ended with an earlier process.

    Not if it had come to its end before: then what it said is reported. Raises StepError when its
    working directory is not there.
    """
    action = step.action
    if not isinstance(action, RunStep) or not action.background:
        return
    record = run.context.ledger.step(run.id, step.path)
    if record is None or record.command == ENDED:
        return
    action = _expanded(step, action, run)
    found = run.commands.found(record)
    if found.started:
        run.background.adopt(action, found)
    if found.ended is None:
        end_command(found)
        run.recovered(step, "restarted", f"`{action.command}` works in the background again")
        await run.background.start(action, run.commands.make_again(record))


async def wait_step(step: PlannedStep, record: StepRecord | None, run: LiveRun) -> StepRecord:
    """Do a RUN-WAIT. Raises StepError when a limit of the run ends it."""
    seconds = cast("RunWaitStep", step.action).seconds
    limit = _limit(run)
    run.begin(step)
    await asyncio.sleep(seconds if limit is None else min(seconds, limit.seconds))
    if limit is not None and limit.seconds < seconds:
        run.finish(step, StepStatus.FAILED, error=f"ended by {limit.reason}")
        run.budget.check()
        raise StepError(
            f"step {step.path}: RUN-WAIT takes longer than {limit.reason} allows",
            hint="raise the limit",
        )
    await run.look(step)
    done = run.finish(step, StepStatus.DONE, response=run.background.output())
    run.background.confirm()
    return done


def settle_commands(run: LiveRun) -> None:
    """Forget what a completed run's commands left, but for which background ones had ended.

    Those are not started again when the workflow grows. Raises StoreError.
    """
    records = run.context.ledger.steps(run.id)
    background = {
        step.path
        for step in run.context.plan.every_step()
        if isinstance(step.action, RunStep) and step.action.background
    }
    ended = {
        record.path
        for record in records
        if first_round(record.path) in background
        and (record.command == ENDED or run.commands.found(record).ended is not None)
    }
    if any(record.command for record in records) or run.commands.folder.exists():
        run.commands.settle(run.context.ledger, ended)


def wanted(rule: OutputRule, exit_status: int) -> bool:
    """Whether an output goes to the model."""
    return exit_status != 0 if rule is OutputRule.ON_ERROR else rule is OutputRule.ALWAYS


def _expanded(step: PlannedStep, action: RunStep, run: LiveRun) -> RunStep:
    """The command with its template variables filled in. Raises StepError."""
    variables, values = run.context.variables_of(step), run.scope.values
    expanded, problems = expand(action, variables, values)
    for problem in problems:
        run.context.emit(Warned(message=f"step {step.path}: {problem}"))
    return expanded


def _begin(step: PlannedStep, run: LiveRun) -> Evidence:
    """The command's folder, which is there before the step is begun: then it was not started."""
    name = uuid.uuid4().hex
    evidence = run.commands.make(name)
    run.begin(step, command=name)
    return evidence


def _limit(run: LiveRun, *own: tuple[float | None, str]) -> Limit | None:
    """The nearest limit of a step that calls no model."""
    options = run.context.options
    given = (
        *own,
        (options.step_timeout or None, "--step-timeout"),
        (run.budget.seconds_left(), "--max-time"),
    )
    limits = [Limit(max(0.0, seconds), name) for seconds, name in given if seconds is not None]
    nearest = min(limits, key=lambda limit: limit.seconds, default=None)
    if nearest is None:
        return None
    shown = (options.max_time or 0.0) if nearest.reason == "--max-time" else nearest.seconds
    return Limit(nearest.seconds, f"{nearest.reason} {format_duration(shown)}")


def _handled(step: PlannedStep, run: LiveRun) -> bool:
    """Whether an ON-FAILURE block after a RUN takes care of its failure."""
    number = number_of(step.path)
    return any(
        s.condition is not None
        and number in s.condition.positions
        and s.condition.when == "failure"
        for s in list_of(run.context.plan, step.path)[number:]
    )

"""What a run decides: a branch, a list, the end of a loop, a human's answer. Each is a step.

It is begun and finished in the ledger like any other, so that a run that goes on decides nothing
twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from sdqctl.engine.matching import is_outdated
from sdqctl.engine.scope import encoded
from sdqctl.errors import PausedError, StepError
from sdqctl.model.events import Warned
from sdqctl.model.paths import round_after
from sdqctl.model.plan import PlannedStep
from sdqctl.model.run import RunStatus, StepRecord, StepStatus
from sdqctl.model.views.run import GateView
from sdqctl.model.workflow import (
    AskStep,
    FailStep,
    ForStep,
    IfStep,
    RepeatStep,
    ReturnStep,
    StopStep,
    UntilStep,
)
from sdqctl.store.messages import is_asked_to_end
from sdqctl.store.rounds import is_entered

if TYPE_CHECKING:
    from sdqctl.engine.context import LiveRun

Deciding = AskStep | IfStep | RepeatStep | ForStep | UntilStep | ReturnStep | StopStep | FailStep
"""Steps that decide how the run goes on."""


_Unasked = IfStep | RepeatStep | ForStep | UntilStep | ReturnStep | StopStep | FailStep


def decide(
    step: PlannedStep, action: Deciding, record: StepRecord | None, run: LiveRun
) -> StepRecord:
    """Decide, and record it.

    Raises StepError for what cannot be decided and at FAIL, PausedError at an ASK.
    """
    if isinstance(action, AskStep):
        return _ask(step, action, record, run)
    begun = record is not None and record.status is StepStatus.BEGUN
    if record is None or not begun or is_outdated(step, record):
        run.begin(step)
    try:
        value = _decision(step, action, run)
    except StepError as error:
        run.finish(step, StepStatus.FAILED, error=error.message)
        raise
    return run.finish(step, StepStatus.DONE, value=encoded(value))


def _decision(step: PlannedStep, action: _Unasked, run: LiveRun) -> Any:  # noqa: ANN401
    match action:
        case IfStep():
            holds = (
                index
                for index, branch in enumerate(action.branches)
                if branch.condition is None or evaluate(step, branch.condition, run)
            )
            return next(holds, None)
        case ForStep():
            return _items(step, action, run)
        case UntilStep():
            followed = is_entered(run.context.ledger, run.id, round_after(step.path))
            return not followed and bool(evaluate(step, action.condition, run))
        case ReturnStep():
            return evaluate(step, action.value, run)
        case RepeatStep() | StopStep():
            return None
        case FailStep():
            raise StepError(f"step {step.path}: {action.why or 'the workflow fails here'}")
        case _:
            assert_never(action)


def _items(step: PlannedStep, action: ForStep, run: LiveRun) -> list[Any]:
    found = evaluate(step, action.items, run)
    if not isinstance(found, list):
        from sdqctl.workflow.flow.text import kind_of

        raise StepError(
            f"step {step.path}: FOR goes over a list, and `{action.items}` is {kind_of(found)}"
        )
    if action.most is not None and len(found) > action.most:
        what = f"the first {action.most} of {len(found)} items are taken (MAX)"
        run.context.emit(Warned(message=f"step {step.path}: {what}"))
    return found[: action.most]


def evaluate(step: PlannedStep, text: str, run: LiveRun) -> Any:  # noqa: ANN401 - any JSON
    """What an expression is at this place of a run. Raises StepError."""
    from sdqctl.workflow.flow.expressions import Expression, ExpressionError

    try:
        return Expression.parse(text).evaluate(run.scope.values)
    except ExpressionError as error:
        raise StepError(f"step {step.path}: {error.message}") from error


def _ask(step: PlannedStep, action: AskStep, record: StepRecord | None, run: LiveRun) -> StepRecord:
    """Take a human's answer, or the default once its time has come; else wait for one.

    Raises PausedError where there is none, StepError for one that does not fit.
    """
    if record is None or record.status is not StepStatus.BEGUN:
        record = run.begin(step, value=_gate(action, run.context.ledger.redact))
    answer = record.answer
    if answer is None and run.context.gate is not None:
        said = run.context.gate(action, partial(_answered_elsewhere, step, run))
        answer = None if said is None else _first(said, step, run)
    if answer is None and _is_over(action, record):
        answer = action.default
    if answer is None:
        run.context.ledger.update_run(run.id, status=RunStatus.PAUSED, message=action.question)
        hint = "answer with `--answer VALUE`"
        raise PausedError(_asked(action), path=step.path, hint=hint, asks=True)
    return run.finish(
        step, StepStatus.DONE, response=answer, value=encoded(answer_value(action, answer, step))
    )


def _first(said: str, step: PlannedStep, run: LiveRun) -> str:
    """What was said here, unless another process was first."""
    if run.context.ledger.answer_step(run.id, step.path, said, None):
        return said
    record = run.context.ledger.step(run.id, step.path)
    return said if record is None or record.answer is None else record.answer


def _answered_elsewhere(step: PlannedStep, run: LiveRun) -> str | None:
    """The answer that another process gave. Raises CancelledError when it asked the run to end."""
    ledger = run.context.ledger
    if is_asked_to_end(ledger, run.id):
        raise asyncio.CancelledError("another process")
    record = ledger.step(run.id, step.path)
    return record.answer if record is not None else None


def _gate(action: AskStep, redact: Callable[[str], str]) -> str:
    """What is recorded of the question while it is open, without secrets."""
    return encoded(
        GateView(
            name=action.name,
            question=redact(action.question),
            choices=action.type.choices,
            default=action.default,
            after=action.after,
        )
    )


def answer_value(action: AskStep, answer: str, step: PlannedStep) -> Any:  # noqa: ANN401
    """An answer as the value that a gate asks for. Raises StepError."""
    from sdqctl.workflow.flow.values import read_text

    try:
        return read_text(answer, action.type)
    except ValueError as error:
        raise StepError(f"step {step.path}: {error}", hint="answer again") from error


def _asked(action: AskStep) -> str:
    choices = f" ({', '.join(action.type.choices)})" if action.type.choices else ""
    return f"{action.question}{choices}"


def _is_over(action: AskStep, record: StepRecord) -> bool:
    """Whether the time has come at which the default is the answer."""
    if action.after is None or record.started_at is None:
        return False
    return time.time() - record.started_at.timestamp() >= action.after

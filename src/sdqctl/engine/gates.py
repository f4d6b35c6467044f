"""The gate at which a run waits, and what a human said there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdqctl.engine.decisions import answer_value
from sdqctl.errors import StepError, UsageError
from sdqctl.model.paths import number_of
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.workflow import AskStep, list_of

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext


def open_gate(steps: list[StepRecord]) -> StepRecord | None:
    """The ASK at which a run waits."""
    waits = (s for s in steps if s.kind == "ask" and s.status is StepStatus.BEGUN)
    return next((step for step in waits if step.answer is None), None)


def answer_gate(context: RunContext, answer: str, comment: str | None) -> None:
    """Record what a human says at the gate at which a run waits; the first answer counts.

    Raises UsageError where no gate is open, and for an answer that does not fit.
    """
    run = context.target.run
    gate = open_gate(context.ledger.steps(run.id)) if run is not None else None
    if run is None or gate is None:
        raise UsageError("--answer: the run waits at no ASK that is not answered")
    try:
        step = list_of(context.plan, gate.path)[number_of(gate.path) - 1]
    except LookupError:
        step = None
    if step is None or not isinstance(step.action, AskStep) or step.digest != gate.digest:
        raise UsageError("--answer: the question was edited meanwhile", hint="`--continue` asks it")
    try:
        answer_value(step.action, answer, step)
    except StepError as error:
        raise UsageError(f"--answer: {error.message}", hint=step.action.question) from error
    if not context.ledger.answer_step(run.id, gate.path, answer, comment):
        raise UsageError("--answer: the gate was answered meanwhile; that answer holds")

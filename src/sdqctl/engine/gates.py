"""The gate at which a run waits, and what a human said there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdqctl.engine.decisions import answer_value
from sdqctl.errors import StepError, UsageError
from sdqctl.model.paths import number_of
from sdqctl.model.plan import Plan, PlannedStep, list_of
from sdqctl.model.views.run import gate_view
from sdqctl.model.workflow import AskStep, CallStep
from sdqctl.store.calls import tree_of
from sdqctl.workflow.plan import build_plan

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext


def awaits_answer(context: RunContext) -> bool:
    """Whether the run waits at an ASK that nobody has answered."""
    run = context.target.run
    return run is not None and tree_of(context.ledger, run).open_gate is not None


def answer_gate(context: RunContext, answer: str, comment: str | None) -> None:
    """Record what a human says at the gate at which a run waits; the first answer counts.

    Raises UsageError where no gate is open, and for an answer that does not fit.
    """
    run = context.target.run
    gate = tree_of(context.ledger, run).open_gate if run is not None else None
    if run is None or gate is None:
        raise UsageError("the run waits at no ASK that is not answered")
    try:
        step = _step_of(_plan_of(gate.run_id, run.id, context), gate.path)
    except LookupError:
        step = None
    if step is None or not isinstance(step.action, AskStep) or step.digest != gate.digest:
        raise UsageError("the question was edited meanwhile", hint="`--continue` asks it")
    view = gate_view(gate)
    question = step.action.question if view is None else view.question
    try:
        answer_value(step.action, answer, step)
    except StepError as error:
        raise UsageError(error.message, hint=question) from error
    if not context.ledger.answer_step(gate.run_id, gate.path, answer, comment):
        raise UsageError("the gate was answered meanwhile; that answer holds")


def _plan_of(run_id: str, top: str, context: RunContext) -> Plan:
    """The plan of a run that another one calls, from that of the outermost one. Raises LookupError
    where the workflows call it no more.
    """
    if run_id == top:
        return context.plan
    run = context.ledger.run(run_id)
    if run is None or run.parent_run is None or run.parent_path is None:
        raise LookupError(run_id)
    outer = _plan_of(run.parent_run, top, context)
    step = _step_of(outer, run.parent_path)
    if not isinstance(step.action, CallStep):
        raise LookupError(run_id)
    return build_plan(outer.workflow.called_by(step.action))


def _step_of(plan: Plan, path: str) -> PlannedStep:
    return list_of(plan, path)[number_of(path) - 1]

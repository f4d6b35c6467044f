"""How a job ended, as the ledger has it: what all of its reports are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdqctl.cli.ci.junit import Case
from sdqctl.engine.calls import result_of
from sdqctl.engine.results import answers, total_usage
from sdqctl.engine.target import driven_run
from sdqctl.errors import InterruptedRunError, PausedError, SdqctlError
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.views.run import GateView, gate_view
from sdqctl.store.calls import steps_of_called, tree_of

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.model.run import RunRecord
    from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, or why it did not begin."""

    title: str
    status: str
    message: str = ""
    hint: str = ""
    session: str = ""
    steps: tuple[StepRecord, ...] = ()
    left: tuple[str, ...] = ()
    """Names of the steps that were not reached."""
    steps_done: int = 0
    steps_total: int = 0
    tokens: int = 0
    output: str = ""
    value: Any = None
    gate: GateView | None = None
    folder: Path = Path()
    run: RunRecord | None = None


def outcome_of(title: str, context: RunContext | None, error: SdqctlError | None) -> Outcome:
    """How a job ended; without a context its run was not even prepared."""
    status = _status(error)
    message, hint = (error.message, error.hint or "") if error is not None else ("", "")
    outcome = Outcome(title=title, status=status, message=message, hint=hint)
    if context is None:
        return outcome
    with context.setup.ledger(read_only=True) as ledger:
        run = driven_run(context.target, ledger)
        return _told(outcome, context, ledger, run) if run is not None else outcome


def _told(outcome: Outcome, context: RunContext, ledger: Ledger, run: RunRecord) -> Outcome:
    steps = ledger.steps(run.id)
    usage = total_usage([*steps, *steps_of_called(ledger, run.id)])
    gate, known = tree_of(ledger, run).open_gate, {step.path for step in steps}
    return replace(
        outcome,
        session=context.target.name,
        steps=tuple(steps),
        left=tuple(
            f"{step.path} {step.kind}: {step.title}"
            for step in context.plan.steps
            if step.path not in known
        ),
        steps_done=run.steps_done,
        steps_total=run.steps_total,
        tokens=usage.input_tokens + usage.output_tokens,
        output="\n\n".join(answers(steps)),
        value=result_of(ledger, run)[1],
        gate=None if gate is None else gate_view(gate),
        folder=context.cwd,
        run=run,
    )


def _status(error: SdqctlError | None) -> str:
    if error is None:
        return "completed"
    if isinstance(error, PausedError):
        return "paused"
    return "interrupted" if isinstance(error, InterruptedRunError) else "failed"


def cases_of(outcome: Outcome) -> list[Case]:
    """A test a step; one alone where the run did not begin."""
    if outcome.run is None:
        state = {"completed": "passed", "paused": "skipped"}.get(outcome.status, "error")
        return [Case(outcome.title, state, message=outcome.message)]
    done = [_case(step, outcome) for step in outcome.steps]
    why = f"not reached: {outcome.status}"
    return [*done, *(Case(name, "skipped", message=why) for name in outcome.left)]


def _case(step: StepRecord, outcome: Outcome) -> Case:
    name, took = f"{step.path} {step.kind}: {step.title}", step.seconds or 0.0
    output = step.response or ""
    if step.status is StepStatus.DONE:
        return Case(name, "passed", took, output=output)
    if step.status is StepStatus.SKIPPED:
        return Case(name, "skipped", took, "skipped")
    if step.status is StepStatus.FAILED:
        return Case(name, "failed", took, step.error or outcome.message, output)
    state = "skipped" if outcome.status == "paused" else "error"
    return Case(name, state, took, outcome.message or outcome.status, output)

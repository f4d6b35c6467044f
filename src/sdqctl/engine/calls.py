"""CALL: a workflow as a step of another one. What it calls is a run of its own in the ledger.

The step is begun before its run is, and is done after it: a run that is found goes on, one that is
completed is not done again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.engine.context import Caller, Sink
from sdqctl.engine.inputs import input_value, recorded_inputs
from sdqctl.engine.preflight import check, check_destinations
from sdqctl.engine.preparation import decided
from sdqctl.engine.scope import encoded, value_of
from sdqctl.engine.setup import working_directory
from sdqctl.engine.target import Target
from sdqctl.errors import (
    BusyError,
    InterruptedRunError,
    PausedError,
    SdqctlError,
    StepError,
    UsageError,
)
from sdqctl.model.events import Warned
from sdqctl.model.modes import exceeds
from sdqctl.model.options import RunOptions
from sdqctl.model.plan import PlannedStep
from sdqctl.model.run import RunRecord, RunStatus, StepRecord, StepStatus
from sdqctl.model.session import SessionInfo, SessionRef, name_problem, session_id_for
from sdqctl.model.values import Kind
from sdqctl.model.workflow import CallStep, Input, Workflow
from sdqctl.store.calls import adopt, called_at

if TYPE_CHECKING:
    from sdqctl.engine.context import LiveRun, RunContext
    from sdqctl.store.ledger import Ledger

_WAITS = (InterruptedRunError, PausedError, BusyError)
"""After these the run that is called is not over, and neither is the step."""


async def call(
    step: PlannedStep,
    action: CallStep,
    record: StepRecord | None,
    run: LiveRun,
    caller: Caller | None = None,
) -> StepRecord:
    """Do what a CALL calls, or what is left of it; `caller` says for which item of a list.

    Raises what the run raises. The step is open as long as that is to go on.
    """
    if record is None or record.status is not StepStatus.BEGUN:
        run.begin(step)
    try:
        done = await _called(action, caller or Caller(run=run, step=step))
    except _WAITS as error:
        _name_place(error, action)
        raise
    except SdqctlError as error:
        _name_place(error, action)
        run.finish(step, StepStatus.FAILED, error=error.message)
        raise
    await run.look(step)
    text, value = result_of(run.context.ledger, done)
    return run.finish(step, StepStatus.DONE, response=text, value=encoded(value))


def result_of(ledger: Ledger, run: RunRecord) -> tuple[str, Any]:
    """What a completed run gives whoever called it, as text and as value: what it returned, else
    its last answer.
    """
    last = ""
    for step in reversed(ledger.steps(run.id)):
        if step.status is not StepStatus.DONE:
            continue
        if step.kind == "return":
            from sdqctl.workflow.flow.text import text_of

            value = value_of(step)
            return text_of(value), value
        if step.kind == "prompt" and not last:
            last = step.response or ""
    return last, last


async def _called(action: CallStep, caller: Caller) -> RunRecord:
    """The run that a CALL makes, completed."""
    run, path = caller.run, caller.step.path
    ledger = run.context.ledger
    known = called_at(ledger, run.id, path)
    if known is None and caller.item is not None:
        known = adopt(ledger, run.id, path, caller.item)
    if known is not None and known.status is RunStatus.COMPLETED:
        return known
    context = called_context(action, caller, known)
    check(context)
    check_destinations(context)
    with _shown(run.context, context) as emit:
        return await run.call(replace(context, emit=emit))


def _shown(outer: RunContext, context: RunContext) -> AbstractContextManager[Sink]:
    return nullcontext(outer.emit) if outer.nest is None else outer.nest(context)


def called_context(action: CallStep, caller: Caller, known: RunRecord | None) -> RunContext:
    """The run that a CALL makes, with everything about it decided; `known` is the one that goes on.

    Raises StepError for a value that does not fit, and what `prepare` raises.
    """
    run = caller.run
    outer = run.context
    workflow = outer.workflow.called_by(action)
    adapter = workflow.adapter or outer.target.ref.adapter
    cwd = _folder(workflow, outer)
    target = _target(action, caller, known, adapter)

    def choose(entries: Iterable[SessionInfo]) -> Target:
        """The session as it is by now."""
        there = action.same or any(True for _ in entries)
        return replace(target, exists=there)

    archive = outer.setup.archive(target.ref.adapter)
    found = archive.get(target.ref.id)
    context = decided(
        workflow,
        _options(workflow, outer, adapter),
        outer.setup.working_in(cwd),
        outer.ledger,
        choose,
        [found] if found is not None else [],
        cwd=cwd,
        question=outer.question,
        inputs={**_inputs(action, caller, workflow, cwd), **recorded_inputs(known)},
    )
    return replace(context, caller=caller, gate=outer.gate, nest=outer.nest)


def _folder(workflow: Workflow, outer: RunContext) -> Path:
    """Where the agent of a called workflow works: its own CWD, else where its caller's does.

    Raises StepError for a folder that the caller may not use.
    """
    if workflow.cwd is None:
        return outer.cwd
    folder = working_directory(outer.setup, None, workflow)
    if problem := outer.roots.problem(folder):
        raise StepError(f"{workflow.path}: CWD {workflow.cwd} {problem}")
    return folder


def _target(action: CallStep, caller: Caller, known: RunRecord | None, adapter: str) -> Target:
    run = caller.run
    outer = run.context
    if action.same:
        ref = SessionRef(outer.target.ref.adapter, run.connection.session.info.id)
        return Target(ref=ref, name=outer.target.name, exists=True, run=known)
    if known is not None:
        ref = SessionRef(known.adapter, known.session_id)
        return Target(ref=ref, name=known.session_name or ref.id, exists=True, run=known)
    archive, ledger = outer.setup.archive(adapter), outer.ledger
    for name in _names(outer.target.name, Path(action.file).stem, caller.step.path):
        ref = SessionRef(adapter, session_id_for(name))
        if archive.get(ref.id) is None and not ledger.runs_of(ref):
            return Target(ref=ref, name=name, exists=False)
    raise AssertionError("numbers do not end")


def _names(parent: str, stem: str, path: str) -> Iterator[str]:
    """What the session may be called: after its parent, with the rounds that it is in."""
    rounds = ".".join(re.findall(r"\[(\d+)\]", path))
    base = f"{parent}/{stem}" + (f"-{rounds}" if rounds else "")
    for number in count(1):
        name = base if number == 1 else f"{base}-{number}"
        if name_problem(name):
            import hashlib

            name = f"{stem[:30]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        yield name


def _options(workflow: Workflow, outer: RunContext, adapter: str) -> RunOptions:
    """The options of a run that is called: those of its caller, but for what is its own."""
    options = outer.options
    model = workflow.model
    if model is None and adapter == outer.target.ref.adapter:
        model = options.model
    mode, bound = workflow.mode, options.mode or outer.workflow.mode
    if mode is None or exceeds(mode, bound):
        if mode is not None:
            what = f"{workflow.path}: MODE {mode} is held to what its caller may do"
            outer.emit(Warned(message=what))
        mode = bound
    return msgspec.structs.replace(
        options,
        adapter=adapter,
        model=model,
        mode=mode,
        cycles=None,
        session_mode=None,
        prologues=(),
        epilogues=(),
        output_file=None,
        session_name=None,
        resume_if_exists=None,
        cwd=None,
        worktree=None,
        carry_changes=False,
        from_step=None,
        inputs=(),
    )


def _inputs(action: CallStep, caller: Caller, workflow: Workflow, cwd: Path) -> Mapping[str, Any]:
    """The values of a called workflow's inputs. Raises StepError for one that does not fit."""
    given = dict(action.arguments)
    found = {}
    for one in workflow.inputs:
        try:
            if one.name in given:
                found[one.name] = _value(one, given[one.name], caller, cwd)
            elif one.default is not None:
                found[one.name] = input_value(one, one.default, cwd)
        except (UsageError, ValueError) as error:
            told = str(error).removeprefix("--set ").removeprefix(f"{one.name}: ")
            what = f"CALL {action.file}: {one.name}: {told}"
            raise StepError(f"step {caller.step.path}: {what}") from error
    return found


def _value(one: Input, text: str, caller: Caller, cwd: Path) -> Any:  # noqa: ANN401 - any JSON
    """The value of an argument: an expression that stands alone keeps its type.

    Raises UsageError, ValueError and StepError.
    """
    from sdqctl.workflow.flow.expressions import ExpressionError
    from sdqctl.workflow.flow.templates import Mode, holes, render_text, written

    run = caller.run
    alone = next((h for h in holes(text) if (h.start, h.end) == (0, len(text))), None)
    try:
        if alone is not None and alone.variable is None:
            value = alone.expression().evaluate(run.scope.values)
        else:
            variables = run.context.variables_of(caller.step)
            rendered = render_text(text, run.scope.values, variables=variables)
            for warning in rendered.warnings:
                run.context.emit(Warned(message=f"step {caller.step.path}: {warning}"))
            value = rendered.text
            if "{{" not in text:
                return input_value(one, value, cwd)
    except ExpressionError as error:
        raise StepError(f"step {caller.step.path}: {error.message}") from error
    if one.type.kind is Kind.JSON:
        return value
    as_text = value if isinstance(value, str) else written(value, Mode.ARGUMENT)
    return input_value(one, as_text, cwd)


def _name_place(error: SdqctlError, action: CallStep) -> None:
    """Say in which called workflow an error happened: its places are not those of the caller."""
    error.message = f"{action.file}: {error.message}"
    if error.hint and "`--from" in error.hint:
        error.hint = None

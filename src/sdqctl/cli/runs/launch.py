"""A run on a screen: read, prepared, shown while it goes. Knows no click."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from sdqctl.cli.output import is_log, note
from sdqctl.cli.runs.report import Report, print_plan
from sdqctl.cli.runs.repository import note_repository
from sdqctl.cli.signals import interruptible
from sdqctl.errors import SdqctlError, UsageError
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.engine.context import RunContext
    from sdqctl.engine.pool import RuntimePool
    from sdqctl.model.options import RunOptions
    from sdqctl.model.session import SessionRef
    from sdqctl.model.workflow import Diagnostic, Workflow
    from sdqctl.policy.ask import Question
    from sdqctl.sandbox.nets import Nets


DIGEST = "SDQCTL_WORKFLOW_DIGEST"
"""The variable that says which workflow is to be run: the one of this digest, and no other."""


def run_workflow(app: App, path: Path, options: RunOptions, display: Display) -> int:
    """Run a workflow file and print its result; returns the exit code.

    Raises what `prepare` and `launch` raise.
    """
    from sdqctl.workflow.source import is_stream

    workflow = read_workflow(path, display, folder=app.directory)
    return _run(app, workflow, options, display, keeps_text=is_stream(path))


def run_prompts(app: App, prompts: Sequence[str], options: RunOptions, display: Display) -> int:
    """Run prompts that were typed, as a workflow, and print its result; returns the exit code.

    A session without a name is called after the first prompt. Raises what `prepare` and `launch`
    raise.
    """
    from sdqctl.workflow import prompts_workflow

    workflow = prompts_workflow(prompts, app.directory)
    return _run(app, workflow, options, display, keeps_text=True)


def _run(
    app: App, workflow: Workflow, options: RunOptions, display: Display, *, keeps_text: bool
) -> int:
    from sdqctl.engine.preparation import prepare

    options = with_missing_inputs(workflow, options)
    if display.detach:
        from sdqctl.cli.runs.background import in_background

        again = partial(_run, app, workflow, options, keeps_text=keeps_text)
        return in_background(app, display, again)
    with app.ledger() as ledger:
        context = prepare(
            workflow,
            options,
            app,
            ledger,
            question=question_of(display),
            keeps_text=keeps_text,
            dry_run=display.dry_run,
        )
        if options.session_name is None and not display.quiet:
            _note_unfinished(context)
        return show(context, display)


def _note_unfinished(context: RunContext) -> None:
    """A workflow without a name begins a new session each time; an earlier one may be meant."""
    from sdqctl.engine.session_names import unfinished_run

    workflow = context.plan.workflow
    run = unfinished_run(workflow, context.ledger) if workflow.session_name is None else None
    if run is not None:
        label = one_line(run.session_name or run.session_id)
        note(
            f"an earlier run of it is unfinished, {run.steps_done} of {run.steps_total} steps: "
            f"`{on_session('resume', label, '--continue')}` goes on with that one"
        )


def read_workflow(path: Path, display: Display, *, folder: Path | None = None) -> Workflow:
    """A workflow that can be run, with its warnings shown. `folder`: where the user is, if it may
    come from stdin.

    Raises UsageError for a file that is not there, or that DIGEST says was another one,
    WorkflowError with all errors.
    """
    from sdqctl.workflow import check_workflow
    from sdqctl.workflow.diagnostics import describe

    def warn(warning: Diagnostic) -> None:
        if not display.quiet:
            note(describe(warning))

    workflow = check_workflow(path, warn, folder=folder)
    expected = os.environ.pop(DIGEST, None)
    if expected is not None:
        from sdqctl.workflow.format import workflow_digest

        if workflow_digest(workflow) != expected:
            raise UsageError(f"{path} was changed since it was offered", hint="it is not run")
    return workflow


def question_of(display: Display) -> Question | None:
    """Asking at the terminal, if that is wanted. Raises UsageError where there is none."""
    if not display.ask:
        return None
    if display.log is not None:
        from sdqctl.engine.messages import nobody_here

        return nobody_here
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--ask needs a terminal", hint="--allow-tool allows a tool beforehand")
    from sdqctl.cli.chat.reading import ask_permission

    return ask_permission


def with_missing_inputs(workflow: Workflow, options: RunOptions) -> RunOptions:
    """The options with what is asked for on a terminal: inputs that have no value."""
    if not workflow.inputs or options.resume_if_exists or not _is_talking():
        return options
    from sdqctl.cli.runs.asking import ask_for_inputs

    return ask_for_inputs(workflow, options)


def _is_talking() -> bool:
    return not is_log() and sys.stdin.isatty() and sys.stderr.isatty()


_Result = TypeVar("_Result")


class Published(Protocol):
    """A session that is published while it goes: into a shared store, or a file."""

    async def after_step(self, ref: SessionRef) -> None:
        """Publish its state after a step."""

    async def keep(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Do the work, and publish how it ended."""


def show(context: RunContext, display: Display, shared: Published | None = None) -> int:
    """Do a run and print its result, or only show its plan; returns 0. Raises the run's error.

    `shared` publishes it.
    """
    if _is_talking():
        from sdqctl.cli.runs.asking import ask_at_gate

        context = replace(context, gate=ask_at_gate)
    note_repository(context.setup, quiet=display.quiet)
    if display.dry_run:
        print_plan(context, display.output_format)
    elif shared is not None:
        context = replace(context, after_step=shared.after_step)
        interruptible(shared.keep(execute(context, display)))
    else:
        interruptible(execute(context, display))
    return 0


async def execute(
    context: RunContext,
    display: Display,
    *,
    runtime: RuntimePool | None = None,
    nets: Nets | None = None,
) -> None:
    """Run, showing it as a run is shown. Raises the run's error."""
    from sdqctl.engine.execution import launch

    with Report(context, display) as report:
        report.begin()
        try:
            run = await launch(
                replace(context, nest=report.nest),
                emit=report.emit,
                deliver=report.deliver,
                runtime=runtime,
                nets=nets,
            )
        except SdqctlError as error:
            report.fail(error)
            raise
        report.finish(run)

"""The one check before anything starts, the same for run, resume and apply."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.cli.output import note
from sdqctl.cli.runs.variables import cycle_variables, run_variables
from sdqctl.errors import UsageError, WorkflowError

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.launch import Start
    from sdqctl.model.workflow import Diagnostic, Plan, Workflow
    from sdqctl.workflow.checks import FileChecks


def read_workflow(
    path: Path, *, adapter: str | None = None, quiet: bool = False, folder: Path | None = None
) -> Workflow:
    """A workflow that can be run, with its warnings shown. `adapter`: what goes before ADAPTER;
    `folder`: where the user is, if it may come from stdin.

    Raises UsageError for a file that is not there, WorkflowError with all errors.
    """
    from sdqctl.adapters.registry import adapter_names
    from sdqctl.workflow import check_workflow
    from sdqctl.workflow.checks import adapter_finding
    from sdqctl.workflow.diagnostics import describe

    def show(warning: Diagnostic) -> None:
        if not quiet:
            note(describe(warning))

    workflow = check_workflow(path, show, folder=folder)
    finding = adapter_finding(workflow, adapter_names()) if adapter is None else None
    if finding is not None:
        raise WorkflowError(describe(finding))
    return workflow


def check_mode(mode: str | None) -> None:
    """Raise UsageError for a mode that is none: it would silently allow reading only."""
    from sdqctl.model.modes import MODES, is_known_mode
    from sdqctl.text.suggest import meant

    if mode is not None and not is_known_mode(mode):
        raise UsageError(f"--mode {mode}: there is no such mode", hint=meant(mode, MODES, "modes"))


def check_start(
    app: App, begin: Start, plan: Plan, start_at: int | None, checks: FileChecks | None = None
) -> None:
    """Check all that can be known before a session is made.

    Raises WorkflowError with every REQUIRE that is not met and every file that is missing or may
    not be read. `checks` remembers what other runs of the same command had checked.
    """
    from sdqctl.engine.matching import match_plan
    from sdqctl.workflow.checks import FileChecks
    from sdqctl.workflow.diagnostics import describe_errors
    from sdqctl.workflow.render import Roots, check_requirements

    roots = Roots.of(begin.workflow, begin.cwd)
    check_requirements(begin.workflow, roots, app.environment)
    run = begin.target.run
    settled = set(match_plan(plan, begin.ledger.steps(run.id)).done) if run else set()
    if start_at is not None:
        settled = set(range(1, start_at))
    variables = {} if begin.literal else run_variables(begin)
    errors = describe_errors(
        (checks or FileChecks()).findings(
            plan, roots, lambda step: cycle_variables(variables, plan, step), settled
        )
    )
    if errors:
        raise WorkflowError(errors, hint="nothing was run")

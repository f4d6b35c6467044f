"""The one check before anything starts, the same for every run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from sdqctl.adapters.registry import adapter_names
from sdqctl.engine.component import component_path
from sdqctl.engine.context import RunContext
from sdqctl.engine.destinations import refuse_conflicts
from sdqctl.engine.documents import destinations, named_outputs
from sdqctl.engine.matching import match_plan
from sdqctl.engine.session_config import policy_of
from sdqctl.engine.setup import Setup, working_directory
from sdqctl.errors import UsageError, WorkflowError
from sdqctl.model.options import OnInterrupted, RunOptions, encode_options
from sdqctl.model.paths import UNTIL, is_path, number_of, path_key
from sdqctl.model.plan import Plan, list_of
from sdqctl.model.workflow import CallStep, CheckpointStep, Diagnostic, Workflow
from sdqctl.store.redact import Redactor
from sdqctl.text.undecoded import is_decoded, readable
from sdqctl.workflow.calls import all_called
from sdqctl.workflow.checks import ACTING, FileChecks, adapter_finding, weakened
from sdqctl.workflow.diagnostics import describe, describe_errors
from sdqctl.workflow.plan import build_plan
from sdqctl.workflow.references import Roots
from sdqctl.workflow.render import check_requirements

RENAME = "rename it: such a name can be neither recorded nor sent"
"""What to do about a name that is not UTF-8."""


def check(context: RunContext, checks: FileChecks | None = None) -> None:
    """Check all that can be known before a session is made. `checks` remembers what other runs of
    the same command had checked.

    Raises WorkflowError with every REQUIRE that is not met and every file that is missing or may
    not be read, UsageError for a rule that cannot be read, and for going back without snapshots.
    """
    options = context.options
    if options.on_interrupted is OnInterrupted.REWIND and options.snapshots is False:
        raise UsageError("--on-interrupted rewind needs snapshots", hint="give --snapshots")
    check_requirements(context.workflow, context.roots, context.setup.environment)
    run, start_at = context.target.run, context.start_at
    settled = set(match_plan(context.plan, context.ledger.steps(run.id)).done) if run else set()
    if start_at is not None:
        first = path_key(start_at)
        settled = {s.path for s in context.plan.steps if path_key(s.path) < first}
    checks = checks or FileChecks()
    found = checks.findings(context.plan, context.roots, context.variables_of, settled)
    if context.caller is None:
        begun = {*settled, *(s.path for s in context.ledger.steps(run.id))} if run else settled
        found += _of_called(context, context.plan, checks, begun)
    errors = describe_errors(found)
    if errors:
        raise WorkflowError(errors, hint="nothing was run")
    policy_of(context)
    if context.caller is None:
        _check_called(context)


def _of_called(
    context: RunContext,
    plan: Plan,
    checks: FileChecks,
    begun: Collection[str] = (),
    *,
    acted: bool = False,
) -> Iterator[Diagnostic]:
    """What is wrong with the files of the workflows that the steps of a plan call, and those that
    they call, but for CALLs that are `begun`: what is left of these they check themselves. `acted`:
    whether a step before them may still make a file.
    """
    for step in plan.every_step():
        if isinstance(step.action, CallStep) and step.path not in begun:
            called = plan.workflow.called_by(step.action)
            inner, roots = build_plan(called), Roots.of(called, _folder_of(called, context))
            found = checks.findings(inner, roots, lambda _: {})
            yield from map(weakened, found) if acted else found
            yield from _of_called(context, inner, checks, acted=acted)
        acted = acted or (isinstance(step.action, ACTING) and step.path not in begun)


def _folder_of(called: Workflow, context: RunContext) -> Path:
    own = called.cwd is not None
    return working_directory(context.setup, None, called) if own else context.cwd


def _check_called(context: RunContext) -> None:
    """Check the workflows that are called, as far as nothing before them has a say in it.

    Raises WorkflowError.
    """
    for called in all_called(context.workflow):
        if finding := adapter_finding(called, adapter_names()):
            raise WorkflowError(describe(finding), hint="nothing was run")
        folder = _folder_of(called, context)
        refuse_undecoded(context.setup, called, context.options, folder)
        check_requirements(called, Roots.of(called, folder), context.setup.environment)


def check_destinations(context: RunContext) -> None:
    """Raise WorkflowError when the workflow writes to a file to which it may not write,
    OutputConflictError where two outputs are one file, or one is a workflow's.
    """
    has_output = context.options.output_file is None
    destinations(context).check(context.run_variables, output=has_output)
    workflows = [context.workflow.path, *(each.path for each in all_called(context.workflow))]
    refuse_conflicts([*context.setup.own_files.items(), *named_outputs(context)], workflows)


def step_path(plan: Plan, wanted: str | None) -> str | None:
    """The path that --from names: it itself, or a checkpoint's name. Raises UsageError.

    One more than there are steps is after all of them.
    """
    if wanted is None:
        return None
    names = {s.action.name: s.path for s in plan.steps if isinstance(s.action, CheckpointStep)}
    path = wanted if is_path(wanted) else names.get(wanted)
    if path is None or not _is_place(plan, path):
        known = f"; checkpoints: {', '.join(names)}" if names else ""
        raise UsageError(f"--from {wanted}: the plan has steps 1 to {len(plan.steps)}{known}")
    return path


def _is_place(plan: Plan, path: str) -> bool:
    """Whether a step can stand there, or the end of a list is there."""
    if path.endswith(f".{UNTIL}"):
        return False
    try:
        return number_of(path) <= len(list_of(plan, path)) + 1
    except LookupError:
        return False


def refuse_undecoded(setup: Setup, workflow: Workflow, options: RunOptions, cwd: Path) -> None:
    """Raise UsageError for a name that is not UTF-8: no ledger and no runtime can take it."""
    named = [
        ("the data folder", str(setup.settings.home)),
        ("the working directory", str(cwd)),
        ("the workflow file", workflow.path),
        ("the component", component_path(options) or ""),
        ("the file of answers", str(options.output_file or "")),
    ]
    for what, name in named:
        if not is_decoded(name):
            raise UsageError(
                f"{what} has a name that is not UTF-8: {readable(name)}",
                hint=RENAME,
            )


def refuse_secrets(setup: Setup, options: RunOptions) -> None:
    """Raise UsageError for a secret in an option: the ledger would keep the option without it."""
    text = encode_options(options)
    if Redactor(setup.environment)(text) != text:
        raise UsageError(
            "an option of this run (such as --prologue) holds what looks like a secret; it is not "
            "kept, so that the run could not be resumed",
            hint="write it in the workflow, or in a file that the workflow names",
        )

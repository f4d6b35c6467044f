"""What `validate` and `render` do. Knows no click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, note, write_json, write_line
from sdqctl.engine.variables import base_variables, cycle_variables
from sdqctl.errors import SdqctlError
from sdqctl.model.views.workflow import FindingView, PromptView
from sdqctl.model.workflow import Diagnostic, OutputPart, PromptAction, Severity, Span
from sdqctl.text.terminal import sanitize
from sdqctl.workflow import check_workflow, load_workflow
from sdqctl.workflow.diagnostics import describe

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.options import RunOptions
    from sdqctl.model.workflow import Plan, PlannedStep, Workflow
    from sdqctl.workflow.render import Roots

_INVALID = 3


def validate_files(app: App, paths: Sequence[Path], *, strict: bool, as_json: bool) -> int:
    """Print the findings of all files; returns 3 if one has an error, else 0.

    A file that is missing or no text is a finding too, and counts by its own exit code.
    """
    findings: list[Diagnostic] = []
    code = 0
    for path in paths:
        found, failure = _check(app, path)
        findings += found
        code = code or failure
    bad = [d for d in findings if strict or d.severity is Severity.ERROR]
    if as_json:
        write_json([FindingView.of(finding) for finding in findings])
    else:
        for finding in findings:
            write_line(sanitize(describe(finding)))
        warnings = sum(finding.severity is Severity.WARNING for finding in findings)
        errors = counted(len(findings) - warnings, "error")
        note(f"{len(paths)} checked: {errors}, {counted(warnings, 'warning')}")
    return code or (_INVALID if bad else 0)


def _check(app: App, path: Path) -> tuple[list[Diagnostic], int]:
    try:
        parsed = load_workflow(path, app.directory)
        findings = list(parsed.diagnostics)
        if parsed.workflow is not None:
            findings += _plan_findings(app, parsed.workflow)
            findings += _destination_findings(parsed.workflow)
    except SdqctlError as error:
        span = Span(str(path), 1)
        finding = Diagnostic(
            severity=Severity.ERROR, message=error.message, span=span, hint=error.hint
        )
        return [finding], error.exit_code
    return findings, 0


def _plan_findings(app: App, workflow: Workflow) -> list[Diagnostic]:
    """What a run from here would find before it starts."""
    from sdqctl.adapters.registry import adapter_names
    from sdqctl.engine.setup import working_directory
    from sdqctl.workflow.checks import FileChecks, adapter_finding
    from sdqctl.workflow.plan import build_plan
    from sdqctl.workflow.render import Roots

    plan = build_plan(workflow)
    cwd = working_directory(app, None, workflow)
    variables = _variables(workflow, cwd, None)
    unknown = adapter_finding(workflow, adapter_names())
    files = FileChecks().findings(
        plan, Roots.of(workflow, cwd), lambda step: cycle_variables(variables, plan, step)
    )
    return [*([unknown] if unknown else []), *files]


def _variables(workflow: Workflow, cwd: Path, name: str | None) -> Mapping[str, str]:
    """The variables of a run, in a session of this name or of the workflow's."""
    from sdqctl.workflow.render import render_text

    text = name or workflow.session_name or Path(workflow.path).stem
    return base_variables(workflow, cwd, render_text(text, base_variables(workflow, cwd, "")))


def _destination_findings(workflow: Workflow) -> list[Diagnostic]:
    """Files that the workflow writes where it may not, as it would run from here."""
    from sdqctl.adapters.registry import steering
    from sdqctl.engine.destinations import Destinations

    cwd = Path.cwd()
    if workflow.cwd is not None:
        cwd = Path(workflow.path).parent / Path(workflow.cwd).expanduser()
    return Destinations(workflow, cwd, steering=steering()).findings()


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """What `render` was asked for."""

    path: Path
    options: RunOptions
    as_json: bool = False


def render_workflow(app: App, request: RenderRequest) -> None:
    """Print the prompts. Raises WorkflowError, also for a context file that is missing."""
    from sdqctl.engine.setup import working_directory
    from sdqctl.workflow.plan import build_plan
    from sdqctl.workflow.render import Roots

    workflow = check_workflow(request.path, folder=app.directory)
    cwd = working_directory(app, request.options.cwd, workflow)
    plan = build_plan(workflow, request.options)
    variables = _variables(workflow, cwd, request.options.session_name)
    roots = Roots.of(workflow, cwd)
    shown = []
    for step in plan.steps:
        prompt = _prompt(plan, step, variables, roots)
        if request.as_json:
            shown.append(PromptView.of(step, prompt))
            continue
        write_line(f"--- step {step.position}/{len(plan.steps)} {step.kind}: {step.title}")
        if prompt is not None:
            write_line(f"{prompt}\n")
    if request.as_json:
        write_json(shown)


def _prompt(
    plan: Plan, step: PlannedStep, variables: Mapping[str, str], roots: Roots
) -> str | None:
    """The text that a prompt step would send, None for another kind."""
    from sdqctl.workflow.render import render_prompt

    if not isinstance(step.action, PromptAction):
        return None
    rendered = render_prompt(
        plan,
        step,
        outputs=_placeholders(step.action),
        variables=cycle_variables(variables, plan, step),
        roots=roots,
    )
    for warning in rendered.warnings:
        note(f"warning: step {step.position}: {warning}")
    return rendered.text


def _placeholders(action: PromptAction) -> dict[int, str]:
    """A line for each output that is not known yet."""
    return {
        part.position: f"[the output of step {part.position} comes here]"
        for part in action.parts
        if isinstance(part, OutputPart)
    }

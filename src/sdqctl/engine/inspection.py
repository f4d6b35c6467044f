"""Looking into a workflow without running it: what is wrong with it, and what it would send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sdqctl.adapters.registry import adapter_names, steering
from sdqctl.engine.destinations import Destinations
from sdqctl.engine.inputs import inputs_of
from sdqctl.engine.setup import Setup, working_directory
from sdqctl.engine.variables import base_variables, cycle_variables, layered
from sdqctl.errors import SdqctlError
from sdqctl.model.options import RunOptions
from sdqctl.model.views.workflow import FindingView, PromptView
from sdqctl.model.workflow import (
    Diagnostic,
    EarlierPart,
    OutputPart,
    Plan,
    PlannedStep,
    PromptAction,
    Severity,
    Span,
    Workflow,
)
from sdqctl.workflow import check_workflow, load_workflow
from sdqctl.workflow.checks import FileChecks, adapter_finding
from sdqctl.workflow.diagnostics import describe
from sdqctl.workflow.plan import build_plan
from sdqctl.workflow.render import Roots, Told, render_prompt, render_text


@dataclass(frozen=True)
class Finding:
    """What is wrong at a place of a workflow file."""

    diagnostic: Diagnostic

    @property
    def is_error(self) -> bool:
        """Whether a run would be refused."""
        return self.diagnostic.severity is Severity.ERROR

    @property
    def line(self) -> str:
        """Place, message and hint."""
        return describe(self.diagnostic)

    def view(self) -> FindingView:
        """The finding as JSON shows it."""
        return FindingView.of(self.diagnostic)


@dataclass(frozen=True)
class Preview:
    """A step of a plan of `total` steps, and the prompt that it would send, if it sends one."""

    step: PlannedStep
    total: int
    prompt: str | None
    warnings: tuple[str, ...] = ()

    def view(self) -> PromptView:
        """The step as JSON shows it."""
        return PromptView.of(self.step, self.prompt)


def inspect(setup: Setup, path: Path) -> tuple[list[Finding], int]:
    """What is wrong with a workflow file, and an exit code that is not 0 for a file that is missing
    or no text.
    """
    try:
        parsed = load_workflow(path, setup.directory)
        found = list(parsed.diagnostics)
        if parsed.workflow is not None:
            found += _plan_findings(setup, parsed.workflow)
            found += _destination_findings(parsed.workflow)
    except SdqctlError as error:
        span = Span(str(path), 1)
        problem = Diagnostic(
            severity=Severity.ERROR, message=error.message, span=span, hint=error.hint
        )
        return [Finding(problem)], error.exit_code
    return [*map(Finding, found)], 0


def previews(
    setup: Setup,
    path: Path,
    options: RunOptions,
    *,
    more: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Iterator[Preview]:
    """The steps of a workflow with the prompts that they would send, in order.

    `more` are template variables besides those of every run; `name` is what its session is called
    when nobody says it. Raises WorkflowError, also for a context file that is missing.
    """
    workflow = check_workflow(path, folder=setup.directory)
    cwd = working_directory(setup, options.cwd, workflow)
    plan = build_plan(workflow, options)
    called = options.session_name or workflow.session_name or name
    variables = _variables(workflow, cwd, called, more or {})
    roots = Roots.of(workflow, cwd)
    given = dict(options.inputs)
    known = tuple(i for i in workflow.inputs if i.name in given or i.default is not None)
    values = inputs_of(msgspec.structs.replace(workflow, inputs=known), options, None, cwd)
    for step in plan.every_step():
        yield _preview(plan, step, variables, roots, values)


def _plan_findings(setup: Setup, workflow: Workflow) -> list[Diagnostic]:
    """What a run from here would find before it starts."""
    plan = build_plan(workflow)
    cwd = working_directory(setup, None, workflow)
    variables = _variables(workflow, cwd, None)
    unknown = adapter_finding(workflow, adapter_names())
    files = FileChecks().findings(
        plan, Roots.of(workflow, cwd), lambda step: cycle_variables(variables, plan, step)
    )
    return [*([unknown] if unknown else []), *files]


def _destination_findings(workflow: Workflow) -> list[Diagnostic]:
    """Files that the workflow writes where it may not, as it would run from here."""
    cwd = Path.cwd()
    if workflow.cwd is not None:
        cwd = Path(workflow.path).parent / Path(workflow.cwd).expanduser()
    return Destinations(workflow, cwd, steering=steering()).findings()


def _variables(
    workflow: Workflow, cwd: Path, name: str | None, more: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """The variables of a run, in a session of this name or of the workflow's."""
    text = name or workflow.session_name or Path(workflow.path).stem
    unnamed = layered(more or {}, base_variables(workflow, cwd, ""))
    return layered(more or {}, base_variables(workflow, cwd, render_text(text, unnamed)))


def _preview(
    plan: Plan,
    step: PlannedStep,
    variables: Mapping[str, str],
    roots: Roots,
    values: Mapping[str, Any],
) -> Preview:
    if not isinstance(step.action, PromptAction):
        return Preview(step, len(plan.steps), None)
    rendered = render_prompt(
        plan,
        step,
        outputs=_placeholders(step.action),
        variables=cycle_variables(variables, plan, step),
        roots=roots,
        told=Told(values=values, outputs=_earlier(step.action)),
    )
    known = tuple(w for w in rendered.warnings if "there is no value" not in w)
    return Preview(step, len(plan.steps), rendered.text, known)


def _earlier(action: PromptAction) -> tuple[str, ...]:
    """A line for the outputs of which blocks decide."""
    told = any(isinstance(part, EarlierPart) for part in action.parts)
    return ("[the outputs since the last prompt come here]",) if told else ()


def _placeholders(action: PromptAction) -> dict[int, str]:
    """A line for each output that is not known yet."""
    return {
        part.position: f"[the output of step {part.position} comes here]"
        for part in action.parts
        if isinstance(part, OutputPart)
    }

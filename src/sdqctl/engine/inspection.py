"""Looking into a workflow without running it: what is wrong with it, and what it would send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from sdqctl.adapters.registry import adapter_names, steering
from sdqctl.engine.destinations import Destinations
from sdqctl.engine.inputs import input_value, inputs_of
from sdqctl.engine.preflight import RENAME
from sdqctl.engine.setup import Setup, working_directory
from sdqctl.engine.variables import base_variables, cycle_variables, layered
from sdqctl.errors import SdqctlError, UsageError
from sdqctl.model.options import RunOptions
from sdqctl.model.plan import EarlierPart, OutputPart, Plan, PlannedStep, PromptAction
from sdqctl.model.views.workflow import FindingView, PromptView
from sdqctl.model.workflow import CallStep, Diagnostic, Input, Severity, Span, Workflow
from sdqctl.text.undecoded import is_decoded, readable
from sdqctl.workflow import check_workflow, load_workflow
from sdqctl.workflow.calls import all_called
from sdqctl.workflow.checks import FileChecks, adapter_finding
from sdqctl.workflow.diagnostics import describe
from sdqctl.workflow.plan import build_plan
from sdqctl.workflow.render import Roots, Told, render_prompt, render_text


@dataclass(frozen=True)
class Finding:
    """What is wrong at a place of a workflow file, or an input that stands there."""

    diagnostic: Diagnostic
    input: Input | None = None

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
        return FindingView.of(self.diagnostic, self.input)


@dataclass(frozen=True)
class Preview:
    """A step of a plan of `total` steps, and the prompt that it would send, if it sends one."""

    step: PlannedStep
    total: int
    prompt: str | None
    warnings: tuple[str, ...] = ()
    calls: tuple[PlannedStep, ...] = ()
    """The CALLs in which it lies, the outermost first."""

    @property
    def file(self) -> str | None:
        """The called workflow that it stands in."""
        return self.calls[-1].title if self.calls else None

    def view(self) -> PromptView:
        """The step as JSON shows it."""
        return PromptView.of(self.step, self.prompt, tuple(call.path for call in self.calls))


def inspect(setup: Setup, path: Path) -> tuple[list[Finding], int]:
    """The inputs of a workflow file and what is wrong with it, and an exit code that is not 0 for a
    file that is missing or no text.
    """
    inputs: list[Finding] = []
    try:
        parsed = load_workflow(path, setup.directory)
        found = list(parsed.diagnostics)
        if parsed.workflow is not None:
            inputs += map(_of_input, parsed.workflow.inputs)
            found += _plan_findings(setup, parsed.workflow)
            found += _destination_findings(parsed.workflow)
            found += _name_findings(path)
            for called in all_called(parsed.workflow):
                found += map(_doubtful, _plan_findings(setup, called))
                found += _destination_findings(called)
    except SdqctlError as error:
        span = Span(str(path), 1)
        problem = Diagnostic(
            severity=Severity.ERROR, message=error.message, span=span, hint=error.hint
        )
        return [*inputs, Finding(problem)], error.exit_code
    return [*inputs, *map(Finding, found)], 0


def _name_findings(path: Path) -> Iterator[Diagnostic]:
    """What is wrong with the name of a workflow file; what reads alone takes any folder."""
    if not is_decoded(path.name):
        message = f"the workflow file has a name that is not UTF-8: {readable(path.name)}"
        yield Diagnostic(
            severity=Severity.ERROR, message=message, span=Span(str(path), 1), hint=RENAME
        )


def _of_input(one: Input) -> Finding:
    message = f"INPUT {one.name} {one.type}"
    severity = Severity.INFO
    return Finding(Diagnostic(severity=severity, message=message, span=one.span), one)


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
    yield from _previews(_Shown(plan, variables, roots, values, cwd), more or {})


@dataclass(frozen=True)
class _Shown:
    """What the previews of one workflow are made of."""

    plan: Plan
    variables: Mapping[str, str]
    roots: Roots
    values: Mapping[str, Any]
    cwd: Path
    calls: tuple[PlannedStep, ...] = ()


def _previews(shown: _Shown, more: Mapping[str, str]) -> Iterator[Preview]:
    """The previews of a workflow's steps, and of those of the workflows that it calls."""
    for step in shown.plan.every_step():
        preview = _preview(shown.plan, step, shown.variables, shown.roots, shown.values)
        yield replace(preview, calls=shown.calls)
        if isinstance(step.action, CallStep):
            yield from _previews(_called(shown, step, step.action, more), more)


def _called(shown: _Shown, step: PlannedStep, action: CallStep, more: Mapping[str, str]) -> _Shown:
    """The same of a workflow that a CALL names, with the values that are known beforehand."""
    from sdqctl.workflow.flow.expressions import ExpressionError
    from sdqctl.workflow.flow.templates import render_text as with_values

    workflow = shown.plan.workflow.called_by(action)
    values: dict[str, Any] = {}
    given = dict(action.arguments)
    for one in workflow.inputs:
        try:
            text = with_values(given.get(one.name, one.default or ""), shown.values).text
            if "{{" not in text and (one.name in given or one.default is not None):
                values[one.name] = input_value(one, text, shown.cwd)
        except (ExpressionError, UsageError):
            continue
    return _Shown(
        build_plan(workflow),
        _variables(workflow, shown.cwd, None, more),
        Roots.of(workflow, shown.cwd),
        values,
        shown.cwd,
        (*shown.calls, step),
    )


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


def _doubtful(finding: Diagnostic) -> Diagnostic:
    """A finding about a file that a called workflow takes in: its caller may still make it."""
    if finding.message.startswith("unknown adapter"):
        return finding
    return msgspec.structs.replace(finding, severity=Severity.WARNING)


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

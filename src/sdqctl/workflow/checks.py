"""What can be known of a plan before anything is started: its files are there and may be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from sdqctl.errors import WorkflowError
from sdqctl.model.plan import FilePart, FirstPart, Plan, PlannedStep, PromptAction, ReferencesPart
from sdqctl.model.workflow import (
    CallStep,
    ConsultStep,
    Diagnostic,
    PauseStep,
    Reference,
    RunStep,
    Severity,
    Span,
    Workflow,
)
from sdqctl.text.suggest import meant
from sdqctl.workflow.attachments import attached_files
from sdqctl.workflow.equipment import agent_doubts, equip
from sdqctl.workflow.references import Roots
from sdqctl.workflow.render import PromptRenderer

Variables = Callable[[PlannedStep], Mapping[str, str]]
ACTING = (PromptAction, RunStep, PauseStep, ConsultStep, CallStep)
"""Steps at which an agent, a command or a human may make a file."""
_LATER = "a step before it may still make it"


class FileChecks:
    """Checks the files that prompts take in. What several plans have in common is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, Reference], list[Diagnostic]] = {}

    def findings(
        self, plan: Plan, roots: Roots, variables: Variables, settled: Collection[str] = ()
    ) -> list[Diagnostic]:
        """What is wrong with the files of the steps that are not in `settled`.

        An error keeps a step from running for certain; what an earlier step may still change is a
        warning.
        """
        found: dict[tuple[Span, str], Diagnostic] = {}
        acted = False
        for finding in _equipment_findings(plan.workflow, roots):
            found[finding.span, finding.message] = finding
        for step in plan.every_step():
            if step.path in settled:
                continue
            if isinstance(step.action, PromptAction):
                for finding in self._prompt(plan, step, roots, variables):
                    shown = weakened(finding) if acted else finding
                    found.setdefault((shown.span, finding.message), shown)
            acted = acted or isinstance(step.action, ACTING)
        return list(found.values())

    def _prompt(
        self, plan: Plan, step: PlannedStep, roots: Roots, variables: Variables
    ) -> Iterator[Diagnostic]:
        assert isinstance(step.action, PromptAction), "only prompts take in files"
        renderer = PromptRenderer(plan.workflow, {}, variables(step), roots)
        if files := step.action.runs_with.attachments:
            yield from _raised(lambda: attached_files(files, roots), files[0].span)
        own = step.action.parts
        first = [inner for part in own if isinstance(part, FirstPart) for inner in part.parts]
        for part in (*own, *first):
            if isinstance(part, FilePart):
                yield from _problems(renderer, part, _place_of(part, plan.workflow))
            elif isinstance(part, ReferencesPart):
                for reference in part.references:
                    yield from self._reference(reference, renderer, roots)

    def _reference(
        self, reference: Reference, renderer: PromptRenderer, roots: Roots
    ) -> list[Diagnostic]:
        key = (roots.cwd, reference)
        if key not in self._known:
            part = ReferencesPart((reference,))
            self._known[key] = _problems(renderer, part, reference.span)
        return self._known[key]


def adapter_finding(workflow: Workflow, names: Collection[str]) -> Diagnostic | None:
    """The error of an ADAPTER that is none of `names`."""
    if workflow.adapter is None or workflow.adapter in names:
        return None
    return Diagnostic(
        severity=Severity.ERROR,
        message=f"unknown adapter {workflow.adapter!r}",
        span=workflow.adapter_span or Span(workflow.path, 1),
        source_line=f"ADAPTER {workflow.adapter}",
        hint=meant(workflow.adapter, names, "adapters"),
    )


def _equipment_findings(workflow: Workflow, roots: Roots) -> Iterator[Diagnostic]:
    """What is wrong with the files of SYSTEM, AGENTS-DIR, SKILLS and MCP: the first mistake."""
    agents: dict[str, Path] = {}
    make = lambda: agents.update(equip(workflow, roots, {}).agents)  # noqa: E731 - of one line
    yield from _raised(make, Span(workflow.path, 1))
    for span, doubt in agent_doubts(workflow, agents):
        yield Diagnostic(severity=Severity.WARNING, message=doubt, span=span)


def _raised(make: Callable[[], object], span: Span) -> Iterator[Diagnostic]:
    """The error that something ends with, at the place that it names, if any."""
    try:
        make()
    except WorkflowError as error:
        message = error.message
        if match := re.match(r"(.*?):(\d+):(\d+): ", message):
            span = Span(match[1], int(match[2]), int(match[3]))
            message = message[match.end() :]
        yield Diagnostic(severity=Severity.ERROR, message=message, span=span, hint=error.hint)


def _problems(
    renderer: PromptRenderer, part: FilePart | ReferencesPart, span: Span
) -> list[Diagnostic]:
    """The error that making a part of a prompt ends with, if any."""
    try:
        renderer.part(part)
    except WorkflowError as error:
        message = error.message
        for place in (
            f"{span.file}:{span.line}:{span.column}: ",
            f"{renderer.workflow.path}: ",
        ):
            message = message.removeprefix(place)
        finding = Diagnostic(severity=Severity.ERROR, message=message, span=span, hint=error.hint)
        return [finding]
    return []


def _place_of(part: FilePart, workflow: Workflow) -> Span:
    """Where a prologue or epilogue names its file, the top when it came from an option."""
    lines = workflow.source.splitlines()
    numbers = (n for n, line in enumerate(lines, 1) if f"@{part.path}" in line)
    file = workflow.steps[0].span.file if workflow.steps else workflow.path
    return Span(file, next(numbers, 1))


def weakened(finding: Diagnostic) -> Diagnostic:
    """A finding that does not hold for certain, as a warning."""
    hint = f"{finding.hint}; {_LATER}" if finding.hint else _LATER
    return msgspec.structs.replace(finding, severity=Severity.WARNING, hint=hint)

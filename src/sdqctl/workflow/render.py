"""From a planned prompt to the exact text that is sent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from sdqctl.errors import WorkflowError
from sdqctl.model.plan import (
    EarlierPart,
    FilePart,
    FirstPart,
    OutputPart,
    Plan,
    PlannedStep,
    PromptAction,
    PromptPart,
    ReferencesPart,
    TextPart,
)
from sdqctl.model.workflow import SANDBOX, Reference, Workflow
from sdqctl.text.fences import fenced
from sdqctl.text.undecoded import readable
from sdqctl.workflow.references import (
    LARGEST_TOTAL,
    Roots,
    expand,
    is_left_out,
    read_excerpt,
)
from sdqctl.workflow.template import OUTPUT_ONLY, fill, variable_problem

__all__ = [
    "RenderedPrompt",
    "Roots",
    "check_requirements",
    "render_prompt",
    "render_text",
    "render_told",
    "requires_sandbox",
]


@dataclass(frozen=True)
class RenderedPrompt:
    """The text of a prompt, and what a user should know about it."""

    text: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a prompt is told that only a run knows."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Inputs, captures, what loops go over."""
    outputs: Sequence[str] = ()
    """Of the steps since the last prompt, where blocks decide which these are."""
    first: bool = True
    """Whether it is the first prompt of its cycle."""


_NOTHING = Told()


def render_prompt(
    plan: Plan,
    step: PlannedStep,
    *,
    outputs: Mapping[int, str],
    variables: Mapping[str, str],
    roots: Roots,
    told: Told = _NOTHING,
) -> RenderedPrompt:
    """The prompt of a step. Files are read now; variables are filled in the author's text only.

    Raises WorkflowError for a file that is missing, too large or outside the allowed folders.
    """
    assert isinstance(step.action, PromptAction), "only prompt steps are rendered"
    renderer = PromptRenderer(plan.workflow, outputs, variables, roots, told)
    texts = [renderer.part(part) for part in step.action.parts]
    text = "\n\n".join(part for part in texts if part.strip())
    return RenderedPrompt(text, tuple(renderer.warnings))


def render_text(text: str, variables: Mapping[str, str]) -> str:
    """A path, a session name or a header with its variables filled in; unknown ones stay."""
    return fill(text, variables)[0]


def render_told(text: str, variables: Mapping[str, str]) -> RenderedPrompt:
    """A text that an agent is told, with its variables filled in; unknown ones stay."""
    filled, unknown = fill(text, _Without(variables))
    return RenderedPrompt(filled, tuple(map(variable_problem, dict.fromkeys(unknown))))


def requires_sandbox(workflow: Workflow) -> bool:
    """Whether the workflow may only run in a sandbox; whether there is one, a run decides."""
    return any(requirement.kind == SANDBOX for requirement in workflow.requirements)


def check_requirements(workflow: Workflow, roots: Roots, environment: Mapping[str, str]) -> None:
    """Raise WorkflowError that lists every REQUIRE of a file, command or variable not met."""
    missing = []
    for requirement in workflow.requirements:
        if requirement.kind == SANDBOX:
            continue
        value = requirement.value
        met = {
            "file": lambda v: any(os.path.exists(root / v) for root in roots.folders()),
            "cmd": lambda v: shutil.which(v, path=environment.get("PATH")) is not None,
            "env": lambda v: bool(environment.get(v)),
        }[requirement.kind](value)
        if not met:
            span = requirement.span
            missing.append(
                f"{span.file}:{span.line}:{span.column}: REQUIRE {requirement.kind} {value}: "
                "it is not there"
            )
    if missing:
        raise WorkflowError("\n".join(missing), hint="nothing was run")


@dataclass
class PromptRenderer:
    """Makes the parts of a prompt, one after another, and gathers warnings."""

    workflow: Workflow
    outputs: Mapping[int, str]
    variables: Mapping[str, str]
    roots: Roots
    told: Told = _NOTHING
    warnings: list[str] = field(default_factory=list)
    size: int = 0

    def part(self, part: PromptPart) -> str:
        """The text of one part. Raises WorkflowError for a file that cannot be taken in."""
        match part:
            case TextPart():
                return self._filled(part.text)
            case FilePart():
                return self._filled(self._file(part))
            case ReferencesPart():
                texts = (self._reference(reference) for reference in part.references)
                return "\n\n".join(text for text in texts if text)
            case OutputPart():
                return self.outputs.get(part.position, "")
            case EarlierPart():
                return "\n\n".join(text for text in self.told.outputs if text.strip())
            case FirstPart():
                first = map(self.part, part.parts if self.told.first else ())
                return "\n\n".join(text for text in first if text.strip())
            case _:
                assert_never(part)

    def _filled(self, text: str) -> str:
        if self.told.values:
            return self._with_values(text, _Without(self.variables))
        filled = render_told(text, self.variables)
        self.warnings += filled.warnings
        return filled.text

    def _with_values(self, text: str, variables: Mapping[str, str]) -> str:
        from sdqctl.workflow.flow.expressions import ExpressionError
        from sdqctl.workflow.flow.templates import render_text

        try:
            rendered = render_text(text, self.told.values, variables=variables)
        except ExpressionError as error:
            raise WorkflowError(f"{self.workflow.path}: {error.message}") from error
        self.warnings += rendered.warnings
        return rendered.text

    def _file(self, part: FilePart) -> str:
        name = fill(part.path, self.variables)[0]
        reference = Reference(pattern=name, span=part.span)
        for root in self.roots.folders():
            path = root / name
            if os.path.isfile(path):
                if problem := self.roots.problem(path):
                    raise WorkflowError(f"{self.workflow.path}: @{name} {problem}")
                return read_excerpt(path, reference, self.roots).strip("\n")
        raise WorkflowError(
            f"{self.workflow.path}: there is no file @{name}",
            hint="it is looked for in the working directory and in the workflow's folder",
        )

    def _reference(self, reference: Reference) -> str:
        paths = expand(reference, self.roots, self.workflow.excludes)
        if not paths and not reference.optional:
            self._missing(reference)
        texts = (self._excerpt(path, reference) for path in paths)
        return "\n\n".join(text for text in texts if text)

    def _missing(self, reference: Reference) -> None:
        span = reference.span
        message = f"{span.file}:{span.line}:{span.column}: @{reference.pattern} means no file"
        if self.workflow.strict_references:
            raise WorkflowError(
                message, hint="write CONTEXT-OPTIONAL, or VALIDATION-MODE lenient, if that is fine"
            )
        self.warnings.append(message)

    def _excerpt(self, path: Path, reference: Reference) -> str:
        if is_left_out(path, reference):
            self.warnings.append(f"{_label(path, self.roots)} is a binary file: left out")
            return ""
        text = read_excerpt(path, reference, self.roots)
        if reference.fragment and not text:
            return ""
        self.size += len(text)
        if self.size > LARGEST_TOTAL:
            raise WorkflowError(
                f"{self.workflow.path}: the context files are larger than 4 MiB together"
            )
        label = _label(path, self.roots)
        fragment = f"#{reference.fragment}" if reference.fragment else ""
        return fenced(f"{label}{fragment}", text)


class _Without(Mapping[str, str]):
    """The variables of a prompt: without those that would tell the agent the file's name."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        if name in OUTPUT_ONLY:
            raise KeyError(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._variables if name not in OUTPUT_ONLY)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _label(path: Path, roots: Roots) -> str:
    for root in roots.folders():
        if path.is_relative_to(root):
            return readable(str(path.relative_to(root)))
    return readable(str(path))

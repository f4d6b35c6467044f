"""Workflows as JSON shows them: what is wrong with them, what they would send."""

from __future__ import annotations

from typing import Self

import msgspec

from sdqctl.model.plan import PlannedStep
from sdqctl.model.values import Kind
from sdqctl.model.workflow import Diagnostic, Input, Severity


class InputView(msgspec.Struct, frozen=True, kw_only=True):
    """A value that a workflow is given (INPUT)."""

    name: str
    type: Kind
    choices: tuple[str, ...]
    """Of `choice`."""
    default: str | None
    """As it is written."""
    required: bool
    """Whether it has no default."""
    description: str

    @classmethod
    def of(cls, one: Input) -> Self:
        """The view of an input."""
        return cls(
            name=one.name,
            type=one.type.kind,
            choices=one.type.choices,
            default=one.default,
            required=one.default is None,
            description=one.doc,
        )


class FindingView(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a workflow file that is wrong, or may be."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1."""
    severity: Severity
    message: str
    hint: str | None
    """What to do about it."""
    input: InputView | None = None
    """Of severity `info`: what a run is given."""

    @classmethod
    def of(cls, finding: Diagnostic, given: Input | None = None) -> Self:
        """The view of a finding, or of an input."""
        return cls(
            input=None if given is None else InputView.of(given),
            file=finding.span.file,
            line=finding.span.line,
            column=finding.span.column,
            severity=finding.severity,
            message=finding.message,
            hint=finding.hint,
        )


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """A step, with the prompt that it would send."""

    position: int
    """The number of the step of the whole list that it lies in, from 1."""
    path: str
    """Where it stands: `4`, `5.then.2`, `6[3].1`."""
    cycle: int
    """From 1."""
    title: str
    digest: str
    """What the step is known by when the workflow is edited."""
    kind: str
    """`prompt`, `run`, `pause`, ..."""
    prompt: str | None
    """Null when the step sends none."""
    calls: tuple[str, ...] = ()
    """The paths of the CALLs in which it lies, the outermost first."""

    @classmethod
    def of(cls, step: PlannedStep, prompt: str | None, calls: tuple[str, ...] = ()) -> Self:
        """The view of a planned step."""
        return cls(
            calls=calls,
            position=step.position,
            path=step.path,
            cycle=step.cycle,
            title=step.title,
            digest=step.digest,
            kind=step.kind,
            prompt=prompt,
        )


class AnswersView(msgspec.Struct, frozen=True, kw_only=True):
    """The document that OUTPUT-FORMAT json makes."""

    header: str | None
    answers: list[str]
    """In the order of the steps."""
    footer: str | None

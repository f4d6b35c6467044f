"""The plan that is made of a workflow: what will be done, step by step.

Cycles are laid out, ELIDE is joined, prologues and epilogues are in place, and each step has a
digest. No file was read for it but the workflow itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sdqctl.model.paths import position_of
from sdqctl.model.workflow import (
    Capture,
    IfStep,
    Nesting,
    PromptSettings,
    Reference,
    RunStep,
    RunWaitStep,
    SessionMode,
    Single,
    Span,
    UntilStep,
    VerifyStep,
    Workflow,
)


class TextPart(msgspec.Struct, frozen=True, tag_field="part", tag="text"):
    """Text with template variables still in it."""

    text: str


class FilePart(msgspec.Struct, frozen=True, tag_field="part", tag="file"):
    """The text of a prologue or epilogue file, read when the prompt is made."""

    path: str
    span: Span


class ReferencesPart(msgspec.Struct, frozen=True, tag_field="part", tag="references"):
    """The CONTEXT and REFCAT files, each under its path in a fenced block."""

    references: tuple[Reference, ...]


class OutputPart(msgspec.Struct, frozen=True, tag_field="part", tag="output"):
    """The recorded output of the RUN or VERIFY step with a number in the same list."""

    position: int


class EarlierPart(msgspec.Struct, frozen=True, tag_field="part", tag="earlier"):
    """The outputs of the steps since the last prompt, where blocks decide which these are."""


class FirstPart(msgspec.Struct, frozen=True, tag_field="part", tag="first"):
    """What the first prompt of a cycle begins with, where blocks decide which that is."""

    parts: tuple[TextPart | FilePart | ReferencesPart, ...]


PromptPart = TextPart | FilePart | ReferencesPart | OutputPart | EarlierPart | FirstPart


class PromptAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="prompt"):
    """A turn of a plan: its parts are joined with blank lines, empty ones are left out."""

    parts: tuple[PromptPart, ...]
    context_limit: float | None = None
    on_context_limit: str = "compact"
    on_context_limit_prompt: str | None = None
    capture: Capture | None = None
    capture_retries: int = 2
    runs_with: PromptSettings = PromptSettings()


Action = PromptAction | RunStep | RunWaitStep | VerifyStep | Single | Nesting | UntilStep


class Condition(msgspec.Struct, frozen=True):
    """The step runs only if the last of the RUNs at `positions` of its list that ran ended so.

    `when` is `success` or `failure`. Several positions are a RUN and its retries.
    """

    positions: tuple[int, ...]
    when: str


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan. `cycle` counts from 1.

    `digest` is over what the step does, before template variables and files are filled in.
    """

    path: str
    """Where it stands (`model.paths`)."""
    cycle: int
    title: str
    digest: str
    action: Action
    condition: Condition | None = None
    lists: tuple[tuple[PlannedStep, ...], ...] = ()
    """The steps of a block: of each part of an IF, of a round. Their paths are those of a first
    round; `unfolded` has them at another place.
    """

    def unfolded(self, part: str, index: int = 0) -> Iterator[PlannedStep]:
        """The steps of a list where it is entered: `part` is `.then`, `[3]`, ..."""
        for number, step in enumerate(self.lists[index], start=1):
            path = f"{self.path}{part}.{number}"
            yield step if step.path == path else msgspec.structs.replace(step, path=path)

    @property
    def position(self) -> int:
        """The number of the step of the whole list that it lies in, or is."""
        return position_of(self.path)

    @property
    def kind(self) -> str:
        """The word for what the step does: `prompt`, `run`, `pause`, ..."""
        return str(self.action.__struct_config__.tag)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow made concrete."""

    workflow: Workflow
    cycles: int
    session_mode: SessionMode
    steps: tuple[PlannedStep, ...]

    def every_step(self) -> Iterator[PlannedStep]:
        """The steps, and those in them, in the order of the file."""
        return every_step(self.steps)


def every_step(steps: Iterable[PlannedStep]) -> Iterator[PlannedStep]:
    """Steps, and those in them, in the order of the file."""
    for step in steps:
        yield step
        for inner in step.lists:
            yield from every_step(inner)


def list_of(plan: Plan, path: str) -> Sequence[PlannedStep]:
    """The steps of the list in which a step stands; their own paths may be of another round.

    Raises LookupError where the plan has no such list.
    """
    steps: Sequence[PlannedStep] = plan.steps
    for number, part in _ENTERED.findall(path):
        step = steps[int(number) - 1]
        known = parts_of(step)
        if part not in known and not (part.startswith("[") and known == ["[1]"]):
            raise LookupError(f"step {step.path} has no {part}")
        steps = step.lists[known.index(part) if part in known else 0]
    return steps


_ENTERED = re.compile(r"(\d+)(\[\d+\]|\.[a-z][a-z0-9-]*)\.")


def parts_of(step: PlannedStep) -> list[str]:
    """The words by which the lists of a step are entered: `.then`, `.else-if-1`, `.else`; `[1]`."""
    if not isinstance(step.action, IfStep):
        return ["[1]"]
    found = [".then"]
    for number, branch in enumerate(step.action.branches[1:], start=1):
        found.append(".else" if branch.condition is None else f".else-if-{number}")
    return found

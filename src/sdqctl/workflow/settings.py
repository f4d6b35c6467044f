"""The settings that hold for the steps after them, and what they make of a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as Collection
from typing import Any

import msgspec

from sdqctl.model.workflow import (
    CheckpointStep,
    CompactStep,
    PromptSettings,
    PromptStep,
    Reference,
    RunStep,
    Span,
    Step,
)
from sdqctl.workflow import values
from sdqctl.workflow.expansion import unquotable
from sdqctl.workflow.template import joined

_HELD = "\ue000{}\ue001"
"""What stands for an expression while its command is split."""


class Settings:
    """What is in force at a place of the file, by the kind of step that it holds for."""

    def __init__(self) -> None:
        self._values: dict[type[Step], dict[str, Any]] = {}
        self.made: Counter[type[Step]] = Counter()
        """How many steps of a kind stand above."""
        self.names: set[str] = set()
        """The values that there may be: inputs, captures, loops, gates above."""

    def set(self, kind: type[Step], field: str, value: object) -> None:
        """Let a value hold from here on."""
        self._values.setdefault(kind, {})[field] = value

    def forget(self, kind: type[Step], field: str) -> None:
        """Let a value hold no longer."""
        self._values.get(kind, {}).pop(field, None)

    def put(self, kind: type[Step], field: str, name: str, value: object) -> None:
        """Let a named value hold from here on, beside those of other names."""
        before = dict(self._values.get(kind, {}).get(field, ()))
        self.set(kind, field, tuple({**before, name: value}.items()))

    def of(self, kind: type[Step]) -> dict[str, Any]:
        """The fields of a step that are set, as a copy."""
        return dict(self._values.get(kind, {}))

    def compaction(self, span: Span) -> CompactStep:
        """What a COMPACT without a value would be here."""
        return CompactStep(span=span, **self.of(CompactStep))


def complete_prompt(fields: dict[str, Any], settings: Settings) -> None:
    """Without ON-CONTEXT-LIMIT-PROMPT, the compaction at the limit gets COMPACT's instructions.
    What it runs with is one record; files are attached to one prompt.
    """
    found = {name: fields.pop(name) for name in PromptSettings.__struct_fields__ if name in fields}
    if found:
        fields["runs_with"] = PromptSettings(**found)
        settings.forget(PromptStep, "attachments")
    wanted = fields.pop("on_context_limit_prompt", None)
    if fields.get("context_limit") is not None:
        told = wanted or settings.compaction(Span("", 0)).instructions
        fields["on_context_limit_prompt"] = told


def complete_compact(fields: dict[str, Any], settings: Settings) -> None:
    """COMPACT keeps what COMPACT-PRESERVE says and its own value."""
    fields["preserve"] = (*settings.of(CompactStep).get("preserve", ()), *fields["preserve"])


def complete_checkpoint(fields: dict[str, Any], settings: Settings) -> None:
    """A CHECKPOINT without a name is numbered."""
    fields["name"] = fields["name"] or f"checkpoint-{settings.made[CheckpointStep] + 1}"


def complete_run(fields: dict[str, Any], settings: Settings) -> None:
    """Split a command that no shell runs. Raises ValueError for one that needs a shell, and for a
    variable where a shell would not take its value as it is.
    """
    shell = fields.pop("shell", False)
    retries, prompt = fields.pop("retry", (0, None))
    command = fields["command"]
    if shell and (problem := unquotable(command, settings.names)):
        raise ValueError(problem)
    fields["argv"] = None if shell else _arguments(command, settings.names)
    if not fields.get("background"):
        fields |= {"retries": retries, "retry_prompt": prompt, "repeatable": retries > 0}
        of_prompts = settings.of(PromptStep) if retries else {}
        steady = [name for name in PromptSettings.__struct_fields__ if name != "attachments"]
        if found := {name: of_prompts[name] for name in steady if name in of_prompts}:
            fields["retry_with"] = PromptSettings(**found)


def runs_with(field: str) -> Callable[[PromptStep], Any]:
    """What a prompt was made to run with."""
    return lambda step: getattr(step.runs_with, field)


def attached(step: PromptStep) -> tuple[Reference, ...] | None:
    """The files of a prompt; nothing for one that has none."""
    return step.runs_with.attachments or None


def _arguments(command: str, names: Collection[str]) -> tuple[str, ...]:
    """The words of a command; what is over `names` is within its word, also where it is wrong, of
    which the checks of values tell.
    """
    if not names:
        return values.arguments(joined(command))
    from sdqctl.workflow.flow.templates import holes

    found = [hole for hole in holes(command) if hole.uses(names)]
    for number, hole in reversed(list(enumerate(found))):
        command = f"{command[: hole.start]}{_HELD.format(number)}{command[hole.end :]}"
    words = values.arguments(joined(command))
    for number, hole in enumerate(found):
        words = tuple(w.replace(_HELD.format(number), f"{{{{{hole.text}}}}}") for w in words)
    return words


def together(prompts: Sequence[PromptStep]) -> PromptStep:
    """The settings of prompts that are one turn: of the last one, with the files of all."""
    last = prompts[-1]
    files = tuple(file for step in prompts for file in step.runs_with.attachments)
    if files == last.runs_with.attachments:
        return last
    runs_with = msgspec.structs.replace(last.runs_with, attachments=files)
    return msgspec.structs.replace(last, runs_with=runs_with)


def shell_of(step: RunStep) -> bool:
    """What ALLOW-SHELL says for a RUN."""
    return step.argv is None


def retries_of(step: PromptStep) -> int | None:
    """What CAPTURE-RETRIES says for a PROMPT; nothing for one without CAPTURE."""
    return None if step.capture is None else step.capture_retries


def retry_of(step: RunStep) -> tuple[int, str | None] | None:
    """What RUN-RETRY says for a RUN; nothing for one in the background."""
    return None if step.background else (step.retries, step.retry_prompt)

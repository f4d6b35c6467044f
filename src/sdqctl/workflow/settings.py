"""The settings that hold for the steps after them, and what they make of a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as Collection
from typing import Any

from sdqctl.model.workflow import CheckpointStep, CompactStep, PromptStep, RunStep, Span, Step
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
    """Without ON-CONTEXT-LIMIT-PROMPT, the compaction at the limit gets COMPACT's instructions."""
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


def _arguments(command: str, names: Collection[str]) -> tuple[str, ...]:
    """The words of a command; each expression over `names` is within its word."""
    if not names:
        return values.arguments(joined(command))
    from sdqctl.workflow.flow.templates import expressions

    found = [hole for hole in expressions(command) if names >= {*hole.expression().names}]
    for number, hole in reversed(list(enumerate(found))):
        command = f"{command[: hole.start]}{_HELD.format(number)}{command[hole.end :]}"
    words = values.arguments(joined(command))
    for number, hole in enumerate(found):
        words = tuple(w.replace(_HELD.format(number), f"{{{{{hole.text}}}}}") for w in words)
    return words


def shell_of(step: RunStep) -> bool:
    """What ALLOW-SHELL says for a RUN."""
    return step.argv is None


def retries_of(step: PromptStep) -> int | None:
    """What CAPTURE-RETRIES says for a PROMPT; nothing for one without CAPTURE."""
    return None if step.capture is None else step.capture_retries


def retry_of(step: RunStep) -> tuple[int, str | None] | None:
    """What RUN-RETRY says for a RUN; nothing for one in the background."""
    return None if step.background else (step.retries, step.retry_prompt)

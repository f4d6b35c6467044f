"""The values of a run at the place that it has come to: inputs, captures, items of loops."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sdqctl.errors import StoreError
from sdqctl.model.plan import PlannedStep, PromptAction
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.workflow import AskStep, CallStep, Capture, RunStep, RunWaitStep, VerifyStep

Values = Mapping[str, Any]
"""JSON values by their names."""
_OF_A_LOOP = "_all"
_CAPTURING = PromptAction | RunStep | CallStep


@dataclass
class _Loop:
    """What was captured in a loop: in the round that goes on, and in those before."""

    rounds: dict[str, list[Any]] = field(default_factory=dict)
    now: dict[str, list[Any]] = field(default_factory=dict)

    def end_round(self) -> None:
        for name, found in self.now.items():
            self.rounds.setdefault(name, []).extend(found)
        self.now = {}


class Scope:
    """Follows a run from step to step; what is recorded gives the same values again."""

    def __init__(self, inputs: Values | None = None) -> None:
        self.values: dict[str, Any] = dict(inputs or {})
        self._loops: list[_Loop] = []
        self._outputs: list[tuple[str, str]] = []
        self._prompted: set[int] = set()

    def note(self, step: PlannedStep, record: StepRecord) -> None:
        """Take in what a settled step gave. Raises StoreError for a value that cannot be read."""
        action = step.action
        if isinstance(action, PromptAction) and record.status is StepStatus.DONE:
            self._outputs.clear()
            self._prompted.add(step.cycle)
        if isinstance(action, RunStep | RunWaitStep | VerifyStep) and record.response:
            self._outputs.append((step.path, record.response))
        capture = action.capture if isinstance(action, _CAPTURING) else None
        name = action.name if isinstance(action, AskStep) else capture and capture.name
        if name and record.status is StepStatus.DONE:
            self._capture(name, value_of(record))

    def outputs(self, but: Collection[str]) -> list[str]:
        """The outputs since the last prompt, without those of the steps at some paths."""
        return [text for path, text in self._outputs if path not in but]

    def is_first_prompt(self, cycle: int) -> bool:
        """Whether no prompt of a cycle was answered yet."""
        return cycle not in self._prompted

    @contextmanager
    def loop(self, names: Collection[str]) -> Iterator[None]:
        """A loop in which `names` may be captured: after it there are lists of them."""
        loop = _Loop({name: [] for name in names})
        self._loops.append(loop)
        try:
            yield
        finally:
            self._loops.pop()
        loop.end_round()
        for name, found in loop.rounds.items():
            self.values[name + _OF_A_LOOP] = found
            if self._loops:
                self._loops[-1].now[name] = found

    @contextmanager
    def round(self, name: str | None = None, item: Any = None) -> Iterator[None]:  # noqa: ANN401
        """A round of the loop, over an item."""
        before = dict(self.values)
        if name is not None:
            self.values[name] = item
        yield
        self._loops[-1].end_round()
        if name is not None:
            self.values.pop(name, None)
            if name in before:
                self.values[name] = before[name]

    def _capture(self, name: str, value: Any) -> None:  # noqa: ANN401
        self.values[name] = value
        if self._loops:
            self._loops[-1].now[name] = [value]


def captured_in(steps: Collection[PlannedStep]) -> set[str]:
    """The names that steps, and those in them, may give values."""
    found: set[str] = set()
    for step in steps:
        capture: Capture | None = getattr(step.action, "capture", None)
        if capture is not None:
            found.add(capture.name)
        if isinstance(step.action, AskStep):
            found.add(step.action.name)
        for inner in step.lists:
            found |= captured_in(inner)
    return found


def value_of(record: StepRecord) -> Any:  # noqa: ANN401 - any JSON
    """What a step gave or decided. Raises StoreError for what is no JSON."""
    try:
        return msgspec.json.decode(record.value or "null")
    except msgspec.DecodeError as error:
        raise StoreError(f"what step {record.path} gave cannot be read: {error}") from error


def encoded(value: Any) -> str:  # noqa: ANN401 - any JSON
    """A value as the ledger keeps it."""
    return msgspec.json.encode(value).decode()

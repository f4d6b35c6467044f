"""What the directives of a file add up to, and how their mistakes are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sdqctl.model.workflow import Diagnostic, Severity, Span, Step
from sdqctl.workflow.directives import DIRECTIVES
from sdqctl.workflow.lexer import Item, split_lines
from sdqctl.workflow.settings import StepSettings
from sdqctl.workflow.template import unknown_variables, variable_problem


@dataclass
class Block:
    """An ON-FAILURE or ON-SUCCESS that has no END yet."""

    when: str
    item: Item
    steps: list[Step] = field(default_factory=list)
    nested: int = 0
    """Blocks that were wrongly opened inside, whose END is still to come."""


class Building:
    """The state that the directives of a file change, one after the other."""

    def __init__(self, text: str, path: str, diagnostics: list[Diagnostic]) -> None:
        self._text = text
        self._path = path
        self._lines = {path: split_lines(text)}
        self._diagnostics = diagnostics
        self._fields: dict[str, Any] = {}
        self._lists: dict[str, list[Any]] = {}
        self._context: dict[str, Any] = {}
        self._output: dict[str, Any] = {}
        self._settings = StepSettings()
        self._steps: list[Step] = []
        self._block: Block | None = None
        self._checkpoints = 0
        self._given: dict[str, Item] = {}
        self._unused: dict[str, list[Item]] = {}
        self._checks: list[Item] = []
        self._late: dict[str, tuple[Item, Item]] = {}
        """The first setting of its name that stands after a check, with that check."""

    # -- steps and lists --------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        (self._steps if self._block is None else self._block.steps).append(step)

    def _append(self, name: str, *found: object) -> None:
        self._lists.setdefault(name, []).extend(found)

    def _no_value(self, item: Item) -> None:
        if item.value:
            raise ValueError(f"no value is wanted, and {item.value!r} was given")

    # -- what would have no effect ----------------------------------------------------------------

    def _note_use(self, item: Item) -> None:
        """Remember settings, to tell of those that are overwritten or hold for nothing."""
        row = DIRECTIVES[item.name]
        if row.kind == "step":
            step = _STEP_OF.get(item.name, item.name)
            self._unused[step] = []
            if step == "VERIFY":
                self._checks.append(item)
        elif row.scope in DIRECTIVES:
            if row.scope in self._unused:
                self._unused[row.scope].append(item)
            if row.scope == "VERIFY" and item.name not in self._given:
                self._given[item.name] = item
                if self._checks:
                    self._late[item.name] = (item, self._checks[-1])
        elif row.kind == "setting" and row.scope == "file":
            before = self._given.get(item.name)
            if before is not None and before.span.file == item.span.file:
                self._warn(
                    item,
                    f"{item.name} stands in line {before.span.line} too; this one holds",
                )
            self._given[item.name] = item

    def _tell_unused(self) -> None:
        told = {(d.span.file, d.span.line) for d in self._diagnostics}
        for step, items in self._unused.items():
            for item in items:
                if step != "COMPACT" and (item.span.file, item.span.line) not in told:
                    self._warn(
                        item, f"{item.name} holds for the {step} steps after it: there are none"
                    )
                    told.add((item.span.file, item.span.line))
        for item, check in self._late.values():
            if (item.span.file, item.span.line) not in told:
                self._warn(
                    item,
                    f"{item.name} holds for the checks after it, not for {check.name} in line "
                    f"{check.span.line}",
                )

    def _check_variables(self, item: Item, text: str) -> None:
        for name in dict.fromkeys(unknown_variables(text)):
            self._warn(item, variable_problem(name))

    # -- telling ----------------------------------------------------------------------------------

    def _error(self, item: Item, message: str, *, at_value: bool = False) -> None:
        self._report(Severity.ERROR, item, message, at_value)

    def _warn(self, item: Item, message: str) -> None:
        self._report(Severity.WARNING, item, message, at_value=True)

    def _report(self, severity: Severity, item: Item, message: str, at_value: bool) -> None:
        span = item.span
        if at_value:
            span = Span(span.file, span.line, item.value_column)
        lines = self._lines.get(span.file)
        source = lines[span.line - 1] if lines else f"{item.name} {item.value}".strip()
        self._diagnostics.append(
            Diagnostic(severity=severity, message=message, span=span, source_line=source)
        )


_STEP_OF = {"RUN-ASYNC": "RUN", "CHECK-REFS": "VERIFY", "CHECK-LINKS": "VERIFY"}
"""Steps that the settings of another one hold for."""

"""What the directives of a file add up to. All mistakes are found in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never

import msgspec

from sdqctl.model.workflow import (
    BlockStep,
    ContextSettings,
    Diagnostic,
    OutputSettings,
    Severity,
    Span,
    Step,
    Workflow,
)
from sdqctl.workflow.directives import DIRECTIVES, Directive
from sdqctl.workflow.effects import Effects
from sdqctl.workflow.lexer import Item, split_lines
from sdqctl.workflow.settings import Settings
from sdqctl.workflow.targets import (
    Adds,
    Closes,
    Field,
    Included,
    Lines,
    Makes,
    Opens,
    Refused,
    Setting,
)


@dataclass
class _Block:
    """The file itself, or a block that has no END yet."""

    item: Item | None = None
    """What opened it; None: the file."""
    when: str = ""
    steps: list[Step] = field(default_factory=list)
    before: Item | None = None
    """The last step of it so far, also a faulty one."""


class Building:
    """The state that the directives of a file change, one after the other."""

    def __init__(self, text: str, path: str, diagnostics: list[Diagnostic]) -> None:
        self._text = text
        self._path = path
        self._lines = {path: split_lines(text)}
        self._diagnostics = diagnostics
        self._fields = _Fields()
        self._settings = Settings()
        self._blocks = [_Block()]
        self._effects = Effects()

    def add(self, item: Item) -> None:
        """Take one directive in; a value that cannot be read is an error at its place."""
        row = DIRECTIVES[item.name]
        if isinstance(row.into, Refused):
            self._error(item, f"{item.name} is known, but sdqctl does not support it")
            return
        if doubt := self._effects.note(item, row):
            self._warn(item, doubt)
        try:
            if not item.faulty:
                self._put(row, row.parse(item.text), item)
                for doubt in row.doubts(item.text):
                    self._warn(item, doubt)
        except ValueError as error:
            self._error(item, f"{item.name}: {error}", at_value=bool(item.value))
        if isinstance(row.into, Makes):
            self._blocks[-1].before = item

    def workflow(self) -> Workflow | None:
        """The workflow; None when there is an error, which is among the diagnostics then."""
        if len(self._blocks) > 1 and (item := self._blocks[1].item) is not None:
            self._error(item, f"{item.name} has no END")
        told = {(d.span.file, d.span.line) for d in self._diagnostics}
        for item, message in self._effects.without():
            if (place := (item.span.file, item.span.line)) not in told:
                told.add(place)
                self._warn(item, message)
        if self._has_errors():
            return None
        if not self._blocks[0].steps:
            self._diagnostics.append(self._nothing_to_do())
            return None
        return Workflow(
            path=self._path,
            source=self._text,
            compaction=self._settings.compaction(Span(self._path, 0)),
            steps=tuple(self._blocks[0].steps),
            **self._fields.whole(),
        )

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What was found, in the order of places."""
        return tuple(sorted(self._diagnostics, key=lambda d: (d.span, d.severity)))

    # -- where values go --------------------------------------------------------------------------

    def _put(self, row: Directive, value: Any, item: Item) -> None:  # noqa: ANN401
        match row.into:
            case Field() | Lines() | Adds():
                self._fields.put(row.into, value, item.value_span)
            case Setting():
                row.into.put(value, self._settings)
            case Makes():
                step = row.into.step(item.span, value, self._settings)
                self._blocks[-1].steps.append(step)
            case Opens():
                self._open(item, row.into.when)
            case Closes():
                self._close()
            case Included():
                raise ValueError("it works in files only, not in a text")
            case Refused():
                raise ValueError("sdqctl does not support it")
            case _:
                assert_never(row.into)

    def _open(self, item: Item, when: str) -> None:
        """A faulty block is opened too, for its END is not faulty."""
        outer = self._blocks[-1]
        self._blocks.append(_Block(item, when))
        if outer.item is not None:
            raise ValueError(f"blocks cannot be nested; END {outer.item.name} first")
        before = outer.before
        if before is None or before.name != "RUN":
            raise ValueError("there is no RUN right before it")

    def _close(self) -> None:
        if len(self._blocks) == 1:
            raise ValueError("there is no ON-FAILURE or ON-SUCCESS to end")
        block = self._blocks.pop()
        assert block.item is not None, "only the file is opened by nothing"
        step = BlockStep(span=block.item.span, when=block.when, steps=tuple(block.steps))
        self._blocks[-1].steps.append(step)

    # -- what is wrong ----------------------------------------------------------------------------

    def _has_errors(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self._diagnostics)

    def _nothing_to_do(self) -> Diagnostic:
        return Diagnostic(
            severity=Severity.ERROR,
            message="the workflow has no step: not one PROMPT or RUN",
            span=Span(self._path, 1),
            source_line=self._lines[self._path][0],
        )

    def _error(self, item: Item, message: str, *, at_value: bool = False) -> None:
        self._report(Severity.ERROR, item, message, item.value_span if at_value else item.span)

    def _warn(self, item: Item, message: str) -> None:
        self._report(Severity.WARNING, item, message, item.value_span)

    def _report(self, severity: Severity, item: Item, message: str, span: Span) -> None:
        lines = self._lines.get(span.file)
        source = lines[span.line - 1] if lines else f"{item.name} {item.value}".strip()
        self._diagnostics.append(
            Diagnostic(severity=severity, message=message, span=span, source_line=source)
        )


class _Fields:
    """The fields of a Workflow and of the records in it (`output.file`)."""

    _RECORDS = {"context": ContextSettings, "output": OutputSettings}  # noqa: RUF012 - constant

    def __init__(self) -> None:
        self._own: dict[str, Any] = {}
        self._inner: dict[str, dict[str, Any]] = {name: {} for name in self._RECORDS}

    def put(self, into: Field | Lines | Adds, value: Any, span: Span) -> None:  # noqa: ANN401
        """Let a value, which stands at `span`, go where it belongs; None leaves all as it is."""
        fields, name = self._place(into.path)
        match into:
            case Field() if value is None or (into.keep and name in fields):
                pass
            case Field():
                fields[name] = value
                if into.place:
                    fields[f"{name}_span"] = span
            case Lines():
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
            case Adds():
                fields[name] = (*fields.get(name, ()), *(_placed(one, span) for one in value))
            case _:
                assert_never(into)

    def whole(self) -> dict[str, Any]:
        """The fields of the workflow."""
        return {
            **self._own,
            **{name: kind(**self._inner[name]) for name, kind in self._RECORDS.items()},
        }

    def _place(self, path: str) -> tuple[dict[str, Any], str]:
        record, _, name = path.rpartition(".")
        return (self._inner[record] if record else self._own), name


def _placed(value: Any, span: Span) -> Any:  # noqa: ANN401 - a text, or a record with a place
    return msgspec.structs.replace(value, span=span) if isinstance(value, msgspec.Struct) else value

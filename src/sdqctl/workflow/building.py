"""What the directives of a file add up to. All mistakes are found in one go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, assert_never

import msgspec

from sdqctl.model.workflow import (
    AskStep,
    BlockStep,
    Branch,
    CallStep,
    Capture,
    ContextSettings,
    Diagnostic,
    Equipment,
    ForStep,
    Nesting,
    OutputSettings,
    PromptStep,
    RunStep,
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
    Captures,
    Closes,
    Field,
    Included,
    Lines,
    Makes,
    Nests,
    Opens,
    Parts,
    Refused,
    Setting,
)

DEEPEST_BLOCK = 16
"""How deep blocks may stand in each other: what walks them, and runs them through the deepest chain
of CALLs, goes a few Python frames deeper for each.
"""


@dataclass
class _Block:
    """The file itself, or a block that has no END yet."""

    item: Item | None = None
    """What opened it; None: the file."""
    make: Callable[[tuple[Branch, ...]], Step] | None = None
    """Makes its step of its parts."""
    parts: list[Branch] = field(default_factory=list)
    """Those of an IF that are whole."""
    condition: str | None = None
    """Of the part that is read."""
    steps: list[Step] = field(default_factory=list)
    before: Item | None = None
    """The last step of it so far, also a faulty one."""

    def whole(self) -> tuple[Branch, ...]:
        """Its parts, with the one that is read."""
        return (*self.parts, Branch(condition=self.condition, steps=tuple(self.steps)))


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
        self._flows = False
        """Whether there are blocks of data and flow."""

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
        self._flows = self._flows or isinstance(row.into, Nests)

    def workflow(self) -> Workflow | None:
        """The workflow; None when there is an error, which is among the diagnostics then."""
        for block in self._blocks[1:]:
            if block.item is not None:
                self._error(block.item, f"{block.item.name} has no END")
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
        found = Workflow(
            path=self._path,
            source=self._text,
            compaction=self._settings.compaction(Span(self._path, 0)),
            steps=tuple(self._blocks[0].steps),
            **self._fields.whole(),
        )
        self._check_values(found)
        return None if self._has_errors() else found

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What was found, in the order of places."""
        return tuple(sorted(self._diagnostics, key=lambda d: (d.span, d.severity)))

    # -- where values go --------------------------------------------------------------------------

    def _put(self, row: Directive, value: Any, item: Item) -> None:  # noqa: ANN401
        match row.into:
            case Field() | Lines() | Adds():
                if item.name == "INPUT":
                    self._settings.names.add(value[0].name)
                self._fields.put(row.into, value, item.value_span)
            case Setting():
                row.into.put(_each_placed(value, item.value_span), self._settings)
            case Makes():
                self._make(row.into.step(item.span, value, self._settings), item)
            case Captures():
                self._capture(msgspec.structs.replace(value, span=item.value_span))
            case Opens() | Nests() | Parts() | Closes():
                self._block(row.into, value, item)
            case Included():
                raise ValueError("it works in files only, not in a text")
            case Refused():
                raise ValueError("sdqctl does not support it")
            case _:
                assert_never(row.into)

    def _block(self, into: Opens | Nests | Parts | Closes, value: Any, item: Item) -> None:  # noqa: ANN401
        match into:
            case Opens():
                self._open(item, into.when)
            case Nests():
                self._nest(item, into.kind, value)
            case Parts():
                self._other_part(value)
            case Closes():
                self._close()
        if isinstance(into, Opens | Nests) and len(self._blocks) == DEEPEST_BLOCK + 2:
            raise ValueError(
                f"blocks stand in each other more than {DEEPEST_BLOCK} deep; CALL another file"
            )

    def _open(self, item: Item, when: str) -> None:
        """A faulty block is opened too, for its END is not faulty."""
        before = self._blocks[-1].before

        def make(parts: tuple[Branch, ...]) -> Step:
            return BlockStep(span=item.span, when=when, steps=parts[0].steps)

        self._blocks.append(_Block(item, make))
        if before is None or before.name != "RUN":
            raise ValueError("there is no RUN right before it")

    def _nest(self, item: Item, kind: type[Nesting], fields: dict[str, Any]) -> None:
        """Open a block of data and flow."""
        branches: tuple[Branch, ...] = fields.get("branches", ())

        def make(parts: tuple[Branch, ...]) -> Step:
            inside = {"branches": parts} if branches else {**fields, "steps": parts[0].steps}
            return kind(span=item.span, **inside)

        condition = branches[0].condition if branches else None
        self._blocks.append(_Block(item, make, condition=condition))
        if "name" in fields:
            self._settings.names.add(fields["name"])

    def _other_part(self, condition: str | None) -> None:
        block = self._blocks[-1]
        if block.item is None or block.item.name != "IF":
            raise ValueError("there is no IF that it belongs to")
        if block.condition is None:
            raise ValueError("it stands after the ELSE of its IF")
        block.parts.append(Branch(condition=block.condition, steps=tuple(block.steps)))
        block.condition, block.steps, block.before = condition, [], None

    def _close(self) -> None:
        if len(self._blocks) == 1:
            raise ValueError("there is no block to end")
        block = self._blocks.pop()
        assert block.make is not None, "only the file is opened by nothing"
        step = block.make(block.whole())
        self._blocks[-1].steps.append(step)
        if not isinstance(step, BlockStep):
            self._blocks[-1].before = None
        if block.item is not None and (problem := _parallel_problem(step)):
            self._error(block.item, problem)

    def _capture(self, capture: Capture) -> None:
        """Let the step above give its result a name."""
        self._settings.names |= {capture.name, f"{capture.name}_all"}
        steps, before = self._blocks[-1].steps, self._blocks[-1].before
        if before is not None and before.span not in {step.span for step in steps}:
            return  # it is faulty itself
        step = steps[-1] if steps else None
        if not isinstance(step, PromptStep | RunStep | CallStep) or (
            isinstance(step, RunStep) and step.background
        ):
            raise ValueError("there is no PROMPT or RUN right before it, and no CALL")
        if step.capture is not None:
            raise ValueError(f"the step above is captured as {step.capture.name} already")
        if isinstance(step, CallStep) and (capture.type or capture.schema):
            raise ValueError("what a CALL returns has its type already: write CAPTURE NAME")
        steps[-1] = msgspec.structs.replace(step, capture=capture)

    def _make(self, step: Step, item: Item) -> None:
        """Take a step in; what it gives a name to is known from here on."""
        if isinstance(step, AskStep):
            self._settings.names.add(step.name)
        elif isinstance(step, CallStep):
            self._flows = True
            if step.capture is not None:
                capture = msgspec.structs.replace(step.capture, span=item.value_span)
                self._settings.names |= {capture.name, f"{capture.name}_all"}
                step = msgspec.structs.replace(step, capture=capture)
        self._blocks[-1].steps.append(step)

    def _check_values(self, workflow: Workflow) -> None:
        """Find what is wrong with the values of a workflow; one that has none loads nothing."""
        if not self._settings.names and not self._flows:
            return
        from sdqctl.workflow.flow.checks import findings

        for finding in findings(workflow):
            lines = self._lines.get(finding.span.file, [])
            source = lines[finding.span.line - 1] if finding.span.line <= len(lines) else ""
            self._diagnostics.append(msgspec.structs.replace(finding, source_line=source))

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

    _RECORDS = {"context": ContextSettings, "output": OutputSettings, "equipment": Equipment}  # noqa: RUF012 - constant

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


def _parallel_problem(step: Step) -> str | None:
    """What is wrong with the body of a FOR whose rounds go side by side."""
    if not isinstance(step, ForStep) or step.parallel is None:
        return None
    only = step.steps[0] if len(step.steps) == 1 else None
    if not isinstance(only, CallStep):
        return "a FOR with PARALLEL has one CALL in it, and nothing else"
    if only.same:
        return "the CALLs of a FOR with PARALLEL cannot share one conversation: leave out IN same"
    return None


def _each_placed(value: Any, span: Span) -> Any:  # noqa: ANN401
    return tuple(_placed(one, span) for one in value) if isinstance(value, tuple) else value


def _placed(value: Any, span: Span) -> Any:  # noqa: ANN401 - a text, or a record with a place
    return msgspec.structs.replace(value, span=span) if isinstance(value, msgspec.Struct) else value

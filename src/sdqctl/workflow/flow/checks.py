"""What can be known of a workflow's values before it runs: unknown and unsure names, mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sdqctl.model.values import Kind
from sdqctl.model.workflow import (
    TOLD,
    AskStep,
    BlockStep,
    CallStep,
    Capture,
    Diagnostic,
    ElideStep,
    FailStep,
    ForStep,
    IfStep,
    Input,
    PromptStep,
    RepeatStep,
    ReturnStep,
    RunStep,
    Severity,
    Span,
    Step,
    StopStep,
    Workflow,
)
from sdqctl.workflow.flow import templates
from sdqctl.workflow.flow.expressions import Expression, ExpressionError, unknown_name
from sdqctl.workflow.flow.schemas import Schema
from sdqctl.workflow.flow.values import read_text
from sdqctl.workflow.source_lines import place_in

ALL = "_all"
"""What the list of a loop's captures ends with."""


def findings(workflow: Workflow) -> Iterator[Diagnostic]:
    """Everything that is wrong, or doubtful, with the values of a workflow."""
    check = _Check(workflow)
    check.inputs()
    check.steps(workflow.steps, check.known)
    check.texts_of_the_file()
    return iter(check.found)


def schema_of(capture: Capture, folders: Sequence[Path]) -> Schema | None:
    """The schema of a CAPTURE; a file is looked for in the folders. Raises ValueError."""
    if capture.schema is None:
        return None
    if not capture.schema.startswith("@"):
        return Schema.parse(capture.schema)
    name = capture.schema[1:].strip().strip("'\"")
    for folder in folders:
        if (path := folder / name).is_file():
            try:
                return Schema.load(path)
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"the schema @{name} cannot be read: {error}") from None
    raise ValueError(f"there is no file @{name}")


class _Known(dict[str, int]):
    """Values that are there for certain, by the line that they come from."""

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        super().__init__(known or {})
        self.ends = False
        """Whether the run has ended here for certain."""

    def copy(self) -> _Known:
        return _Known(self)


class _Check:
    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.found: list[Diagnostic] = []
        self.known = _Known()
        self._fixed: set[str] = set()
        """Inputs and what loops go over: nothing else may have their names."""
        self._unsure: dict[str, str] = {}
        """Why a value may be missing."""
        self._later = dict(_captured(workflow.steps))

    def inputs(self) -> None:
        for given in self.workflow.inputs:
            if given.name in self.known:
                line = self.known[given.name]
                self._error(
                    f"INPUT {given.name} stands in line {line}, too", given.span, given.name
                )
            self.known[given.name] = given.span.line
            self._fixed.add(given.name)
            self._default(given)

    def _default(self, given: Input) -> None:
        if given.default is None or given.type.kind is Kind.FILE:
            return
        try:
            read_text(given.default, given.type)
        except ValueError as error:
            self._error(f"INPUT {given.name}: {error}", given.span, f"= {given.default}", 2)

    def texts_of_the_file(self) -> None:
        """Those that are filled in before anything runs: inputs are known there, nothing else."""
        for text in (*self.workflow.prologues, *self.workflow.epilogues):
            self._text(text, Span(self.workflow.path, 1), self.known)

    def steps(self, steps: Sequence[Step], known: _Known) -> None:
        """Check steps in order; `known` is what is there before them, and after them then."""
        for index, step in enumerate(steps):
            following = steps[index + 1] if index + 1 < len(steps) else None
            if told := TOLD.get(type(step)):
                self._text(getattr(step, told), step.span, known)
            self._step(step, following, known)

    def _step(self, step: Step, following: Step | None, known: _Known) -> None:
        if isinstance(step, PromptStep):
            self._prompt(step, following, known)
        elif isinstance(step, RunStep):
            self._command(step, known)
            self._capture(step.capture, known)
        elif isinstance(step, CallStep):
            for _, text in step.arguments:
                self._argument(text, step.span, known)
            self._capture(step.capture, known)
        elif isinstance(step, IfStep):
            self._if(step, known)
        elif isinstance(step, RepeatStep | ForStep):
            self._loop(step, known)
        elif isinstance(step, BlockStep):
            inner = known.copy()
            self.steps(step.steps, inner)
            self._unsure_are(inner, known, f"only if the RUN before ends in {step.when}")
        elif isinstance(step, AskStep):
            self._named(step.name, step.span, known)
            self._answer(step)
        elif isinstance(step, ReturnStep):
            self._expression(step.value, step.span, known)
        known.ends = known.ends or isinstance(step, ReturnStep | StopStep | FailStep)

    # -- steps ------------------------------------------------------------------------------------

    def _prompt(self, step: PromptStep, following: Step | None, known: _Known) -> None:
        self._text(step.text, step.span, known)
        if step.capture is not None and isinstance(following, ElideStep):
            self._error(
                "ELIDE joins this PROMPT with the next: CAPTURE belongs after the last one",
                step.capture.span,
            )
        self._capture(step.capture, known)

    def _command(self, step: RunStep, known: _Known) -> None:
        for text in (step.command, step.cwd or "", *(value for _, value in step.environment)):
            self._text(text, step.span, known)
        if step.retry_prompt:
            self._text(step.retry_prompt, step.span, known)
        for hole in templates.expressions(step.command):
            expression = hole.expression()
            if step.argv is None and expression.is_raw and known.keys() >= {*expression.names}:
                message = "`| raw` leaves the quotes out: what the value holds is run by the shell"
                self._report(Severity.WARNING, message, step.span, hole.text)

    def _capture(self, capture: Capture | None, known: _Known) -> None:
        if capture is None:
            return
        self._named(capture.name, capture.span, known)
        file = Path(self.workflow.path)
        try:
            schema_of(capture, (Path.cwd(), file.absolute().parent))
        except ValueError as error:
            self._error(f"CAPTURE {capture.name}: {error}", capture.span, capture.schema or "")

    def _named(self, name: str, span: Span, known: _Known) -> None:
        """A value gets a name; newer ones go before, but not before inputs and loops."""
        if name in self._fixed:
            line = known.get(name, span.line)
            self._error(f"{name} is an input, or what a loop goes over (line {line})", span, name)
        known[name] = span.line
        self._unsure.pop(name, None)

    def _answer(self, step: AskStep) -> None:
        if step.default is not None:
            try:
                read_text(step.default, step.type)
            except ValueError as error:
                self._error(f"ASK {step.name}: {error}", step.span, f"= {step.default}", 2)

    def _if(self, step: IfStep, known: _Known) -> None:
        ends: list[_Known] = []
        for branch in step.branches:
            if branch.condition is not None:
                self._expression(branch.condition, step.span, known)
            inner = known.copy()
            self.steps(branch.steps, inner)
            ends.append(inner)
        if step.branches[-1].condition is not None:
            ends.append(known.copy())
        going = [end for end in ends if not end.ends]
        known.ends = not going
        for name in {name for end in ends for name in end}:
            if going and all(name in end for end in going):
                known[name] = max(end[name] for end in going)
            elif name not in known:
                self._unsure[name] = f"in one branch of the IF in line {step.span.line} only"

    def _loop(self, step: RepeatStep | ForStep, known: _Known) -> None:
        inner = known.copy()
        if isinstance(step, ForStep):
            self._expression(step.items, step.span, known)
            self._named(step.name, step.span, inner)
            self._fixed.add(step.name)
        self.steps(step.steps, inner)
        if isinstance(step, ForStep):
            self._fixed.discard(step.name)
        elif step.until is not None:
            self._expression(step.until, step.span, inner)
        for name in dict(_captured(step.steps)):
            known[name + ALL] = step.span.line
        if isinstance(step, RepeatStep):
            known.update(inner)
            return
        inner.pop(step.name, None)
        why = f"only if the list of the FOR in line {step.span.line} is not empty"
        self._unsure_are(inner, known, f"{why} (NAME{ALL} is there always)")

    def _unsure_are(self, inner: _Known, known: _Known, why: str) -> None:
        for name in inner:
            if name not in known:
                self._unsure[name] = why

    # -- texts and expressions --------------------------------------------------------------------

    def _text(self, text: str, span: Span, known: _Known) -> None:
        """The expressions of a text; one without a single known name is left as it is."""
        names = {*known, *self._unsure, *self._later}
        for finding in templates.findings(text, names):
            severity = Severity.ERROR if finding.is_error else Severity.WARNING
            self._report(severity, finding.message, span, text[finding.offset :].split("}}")[0])
        for hole in templates.expressions(text):
            expression = hole.expression()
            if names.issuperset(expression.names):
                self._missing(expression, span, known)

    def _argument(self, text: str, span: Span, known: _Known) -> None:
        """What a CALL gives: no expression of it stays as it is."""
        for hole in templates.holes(text):
            if hole.variable is None:
                self._expression(hole.text.strip(), span, known)

    def _expression(self, text: str, span: Span, known: _Known) -> None:
        try:
            expression = Expression.parse(text)
        except ExpressionError as error:
            self._error(error.message, span, text, error.column - 1)
            return
        self._missing(expression, span, known)

    def _missing(self, expression: Expression, span: Span, known: _Known) -> None:
        """Report the names of an expression that have no value there, or may have none."""
        for name in expression.names:
            if name in known:
                continue
            at = max(expression.text.find(name), 0)
            if name in self._unsure:
                message = f"{name} is there {self._unsure[name]}"
            elif name in self._later:
                message = f"{name} is captured only later, in line {self._later[name]}"
            else:
                message = unknown_name(name, iter(known))
            self._error(message, span, expression.text, at)

    def _error(self, message: str, span: Span, text: str = "", offset: int = 0) -> None:
        self._report(Severity.ERROR, message, span, text, offset)

    def _report(
        self, severity: Severity, message: str, span: Span, text: str, offset: int = 0
    ) -> None:
        place = place_in(self.workflow, span, text.strip(), offset)
        known = {(found.message, found.span) for found in self.found}
        if (message, place) not in known:
            self.found.append(Diagnostic(severity=severity, message=message, span=place))


def _captured(steps: Sequence[Step]) -> Iterator[tuple[str, int]]:
    """The names that steps, and those in them, give values, with their lines."""
    for step in steps:
        if isinstance(step, PromptStep | RunStep | CallStep) and step.capture is not None:
            yield step.capture.name, step.capture.span.line
        elif isinstance(step, AskStep):
            yield step.name, step.span.line
        elif isinstance(step, IfStep):
            for branch in step.branches:
                yield from _captured(branch.steps)
        elif isinstance(step, RepeatStep | ForStep | BlockStep):
            yield from _captured(step.steps)

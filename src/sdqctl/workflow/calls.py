"""The workflows that a workflow calls: found, read, and checked against their CALLs beforehand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from sdqctl.errors import WorkflowError
from sdqctl.model.modes import may_write
from sdqctl.model.values import Kind
from sdqctl.model.workflow import (
    BlockStep,
    Called,
    CallStep,
    Diagnostic,
    ForStep,
    IfStep,
    Input,
    NewConversationStep,
    RepeatStep,
    SessionMode,
    Severity,
    Step,
    Workflow,
)
from sdqctl.text.suggest import meant, nearest
from sdqctl.workflow.parser import ParsedWorkflow
from sdqctl.workflow.source_lines import place_in

_DEEPEST = 8
_MOST_FILES = 100
Read = Callable[[Path, "Calls"], ParsedWorkflow]


class Calls:
    """Reads what a file calls, and what that calls; a file that is called twice is read once."""

    def __init__(
        self,
        read: Read | None,
        chain: tuple[Path, ...] = (),
        known: dict[Path, ParsedWorkflow] | None = None,
    ) -> None:
        """`chain` are the files that call each other down to this one."""
        self._read = read
        self._chain = chain
        self._known = {} if known is None else known

    @classmethod
    def none(cls) -> Calls:
        """Of a text that no file holds, which can call nothing."""
        return cls(None)

    def resolve(
        self, parsed: ParsedWorkflow, name: str, where: Path, folders: Sequence[str]
    ) -> ParsedWorkflow:
        """The workflow with those that it calls, or the errors.

        `name` is what its places call its file, `where` the file; `folders` hold what it may call.
        """
        workflow = parsed.workflow
        assert workflow is not None, "only a good workflow calls others"
        steps = [step for step in every_step(workflow.steps) if isinstance(step, CallStep)]
        if not steps:
            return parsed
        found: dict[tuple[str, str], Called] = {}
        told: list[Diagnostic] = [*parsed.diagnostics]
        for step in steps:
            base = where if step.span.file == name else Path(step.span.file)
            try:
                inner = self._called(base.parent / step.file, folders)
            except (WorkflowError, ValueError) as error:
                hint = error.hint if isinstance(error, WorkflowError) else None
                told.append(_finding(workflow, step, step.file, f"CALL: {error}", hint))
                continue
            told += inner.diagnostics
            if inner.workflow is not None:
                told += _Check(workflow, step, inner.workflow).findings()
                found[step.file, step.span.file] = Called(
                    file=step.file, caller=step.span.file, workflow=inner.workflow
                )
        each = {(one.span, one.message): one for one in told}
        order = sorted(each.values(), key=lambda d: (d.span.file != name, d.span, d.severity))
        bad = any(one.severity is Severity.ERROR for one in order)
        whole = msgspec.structs.replace(workflow, called=tuple(found.values()))
        return ParsedWorkflow(None if bad else whole, tuple(order))

    def _called(self, path: Path, folders: Sequence[str]) -> ParsedWorkflow:
        """Raises ValueError and WorkflowError for a file that cannot be called."""
        if self._read is None:
            raise WorkflowError(
                "a workflow that no file holds can call no other", hint="write it to a file"
            )
        real = Path(os.path.realpath(path))
        if real in self._chain:
            names = " -> ".join(p.name for p in (*self._chain[self._chain.index(real) :], real))
            raise ValueError(f"workflows call each other in a circle: {names}")
        if not any(real.is_relative_to(folder) for folder in folders):
            raise ValueError(f"{path} leads outside the allowed folders (ALLOW-DIR allows more)")
        if len(self._chain) > _DEEPEST:
            raise ValueError(f"workflows call each other more than {_DEEPEST} deep")
        if not real.is_file():
            raise WorkflowError(f"there is no file {path}", hint=_near(path))
        if real not in self._known:
            if len(self._known) >= _MOST_FILES:
                raise ValueError(f"more than {_MOST_FILES} workflows are called")
            below = Calls(self._read, (*self._chain, real), self._known)
            self._known[real] = self._read(path, below)
        return self._known[real]


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps of a file, and those in them."""
    for step in steps:
        yield step
        if isinstance(step, IfStep):
            for branch in step.branches:
                yield from every_step(branch.steps)
        elif isinstance(step, RepeatStep | ForStep | BlockStep):
            yield from every_step(step.steps)


def all_called(workflow: Workflow) -> Iterator[Workflow]:
    """The workflows that a workflow calls, and those that they call, each once."""
    seen: set[str] = set()
    pending = [*workflow.called]
    while pending:
        one = pending.pop(0).workflow
        if one.path not in seen:
            seen.add(one.path)
            pending += one.called
            yield one


class _Check:
    """What is wrong with one CALL of a workflow."""

    def __init__(self, caller: Workflow, step: CallStep, called: Workflow) -> None:
        self._caller = caller
        self._step = step
        self._called = called

    def findings(self) -> Iterator[Diagnostic]:
        """All of it."""
        yield from self._inputs()
        called, file = self._called, self._step.file
        for what in _wider(self._caller, called):
            yield self._error(file, f"{what}: its caller may not use that")
        if may_write(called.mode) and not may_write(self._caller.mode):
            error = self._error(file, f"MODE {called.mode} is held to what its caller may do")
            yield msgspec.structs.replace(error, severity=Severity.WARNING)
        for what in _of_a_session(self._caller, called) if self._step.same else ():
            message = f"its {what} cannot be had in a conversation that goes on"
            yield self._error("same", message, "leave out IN same")

    def _inputs(self) -> Iterator[Diagnostic]:
        step, inputs = self._step, self._called.inputs
        names, given = [one.name for one in inputs], dict(step.arguments)
        for name in given:
            if name not in names:
                hint = meant(name, names, "inputs") if names else "it has no INPUT"
                yield self._error(f"{name}=", f"there is no input {name}", hint)
        missing = [one for one in inputs if one.default is None and one.name not in given]
        if missing:
            needs = ", ".join(f"{one.name} ({one.type})" for one in missing)
            hint = "WITH " + " ".join(f"{one.name}=VALUE" for one in missing)
            yield self._error(step.file, f"it is not given {needs}", hint)
        for one in inputs:
            text = given.get(one.name)
            if text is not None and "{{" not in text and (problem := _problem(one, text)):
                yield self._error(f"{one.name}=", f"{one.name}: {problem}")

    def _error(self, text: str, message: str, hint: str | None = None) -> Diagnostic:
        message = f"CALL {self._step.file}: {message}"
        return _finding(self._caller, self._step, text, message, hint)


def _problem(one: Input, text: str) -> str | None:
    """What is wrong with a value that is written in the file."""
    from sdqctl.workflow.flow.values import read_text

    if one.type.kind is Kind.FILE:
        return None
    try:
        read_text(text, one.type)
    except ValueError as error:
        return str(error)
    return None


def _wider(caller: Workflow, called: Workflow) -> Iterator[str]:
    """The folders of a called workflow that its caller has not."""
    own = [Path(caller.path).absolute().parent, Path.cwd()]
    own += [_folder(one.pattern) for one in caller.file_rules if one.allow and one.directory]
    for rule in called.file_rules:
        if rule.allow and rule.directory:
            folder = Path(os.path.realpath(_folder(rule.pattern)))
            if not any(folder.is_relative_to(os.path.realpath(one)) for one in own):
                yield f"ALLOW-DIR {rule.pattern}"


def _folder(pattern: str) -> Path:
    return Path(os.path.expanduser(pattern))


_EQUIPMENT = {
    "system": "SYSTEM",
    "agents": "AGENTS-DIR",
    "skills": "SKILLS",
    "servers": "MCP",
    "excluded_tools": "EXCLUDE-TOOLS",
}


def _of_a_session(caller: Workflow, called: Workflow) -> Iterator[str]:
    """The directives of a called workflow that a session has from its beginning or not at all."""
    for name in ("adapter", "model", "mode", "cwd", "worktree"):
        own = getattr(called, name)
        if own is not None and own != getattr(caller, name):
            yield name.upper()
    if called.file_rules:
        yield "ALLOW-FILES, DENY-FILES, ALLOW-DIR or DENY-DIR"
    yield from (word for name, word in _EQUIPMENT.items() if getattr(called.equipment, name))
    if called.session_mode is SessionMode.FRESH:
        yield "SESSION-MODE fresh"
    if any(isinstance(step, NewConversationStep) for step in every_step(called.steps)):
        yield "NEW-CONVERSATION"


def _finding(
    caller: Workflow, step: CallStep, text: str, message: str, hint: str | None = None
) -> Diagnostic:
    place = place_in(caller, step.span, text)
    lines = caller.source.splitlines() if place.file == caller.path else []
    return Diagnostic(
        severity=Severity.ERROR,
        message=message,
        span=place,
        source_line=lines[place.line - 1] if place.line <= len(lines) else "",
        hint=hint,
    )


def _near(path: Path) -> str | None:
    """The file in the same folder that was probably meant."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    near = nearest(path.name, [entry.name for entry in os.scandir(path.parent) if entry.is_file()])
    return f"did you mean {near}?" if near else None

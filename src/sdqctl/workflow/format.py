"""From a Workflow back to a text that means the same. Comments and layout are not kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from operator import attrgetter

from sdqctl.model.workflow import (
    BlockStep,
    IfStep,
    Nesting,
    PromptStep,
    RunStep,
    Step,
    Workflow,
)
from sdqctl.workflow.directives import DIRECTIVES, Directive
from sdqctl.workflow.targets import (
    Adds,
    Captures,
    Closes,
    Field,
    Lines,
    Makes,
    Nests,
    Opens,
    Setting,
)

_BLANK = Workflow(path="", source="")


def format_workflow(workflow: Workflow) -> str:
    """The workflow as a text; INCLUDE is resolved in it, settings stand where they change."""
    return "\n".join([*_declarations(workflow), *_Steps().lines(workflow), ""])


def whole_text(workflow: Workflow) -> str:
    """The workflow's own text, or one with its includes resolved when it has any."""
    includes = re.search(r"^INCLUDE\b", workflow.source, re.MULTILINE)
    return format_workflow(workflow) if includes else workflow.source


def workflow_digest(workflow: Workflow) -> str:
    """What tells a workflow, with all that it includes and calls, from one that was edited."""
    digest, left, seen = hashlib.sha256(), [workflow], set[str]()
    while left:
        one = left.pop()
        if one.path in seen:
            continue
        seen.add(one.path)
        digest.update(hashlib.sha256(whole_text(one).encode("utf-8", "surrogatepass")).digest())
        left += [each.workflow for each in one.called]
    return digest.hexdigest()


def _declarations(workflow: Workflow) -> Iterator[str]:
    written = set()
    for row in DIRECTIVES.values():
        if not isinstance(row.into, Field | Lines | Adds) or row.into.path in written:
            continue
        path = row.into.path
        written.add(path)
        value = attrgetter(path)(workflow)
        if isinstance(row.into, Adds):
            yield from (_entry(path, one) for one in value)
        elif value != attrgetter(path)(_BLANK):
            yield _line(row, value)


def _entry(path: str, value: object) -> str:
    """The line of the first directive that adds such a value."""
    rows = (row for row in DIRECTIVES.values() if row.into == Adds(path))
    return next(_line(row, (value,)) for row in rows if row.form.write((value,)) is not None)


class _Steps:
    """Writes steps, and before each the settings that are other than before."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        """The line of each setting that was written last."""

    def lines(self, workflow: Workflow) -> Iterator[str]:
        yield from self._all(workflow.steps)
        if workflow.compaction is not None:
            yield from self._changed(workflow.compaction, None)

    def _all(self, steps: tuple[Step, ...]) -> Iterator[str]:
        for step in steps:
            if isinstance(step, BlockStep):
                yield from self._block(step)
            elif isinstance(step, Nesting):
                yield from self._nest(step)
            else:
                yield from self._step(step)

    def _block(self, step: BlockStep) -> Iterator[str]:
        yield next(row.name for row in DIRECTIVES.values() if row.into == Opens(step.when))
        yield from self._all(step.steps)
        yield next(row.name for row in DIRECTIVES.values() if isinstance(row.into, Closes))

    def _nest(self, step: Nesting) -> Iterator[str]:
        yield _line(next(r for r in DIRECTIVES.values() if r.into == Nests(type(step))), step)
        if isinstance(step, IfStep):
            yield from self._all(step.branches[0].steps)
            for branch in step.branches[1:]:
                yield _line(DIRECTIVES["ELSE"], branch.condition or "")
                yield from self._all(branch.steps)
        else:
            yield from self._all(step.steps)
        yield next(row.name for row in DIRECTIVES.values() if isinstance(row.into, Closes))

    def _step(self, step: Step) -> Iterator[str]:
        row, into = next(
            (row, row.into)
            for row in DIRECTIVES.values()
            if isinstance(row.into, Makes) and _is_made_by(step, row.into)
        )
        yield from self._changed(step, into.field)
        value = step if into.whole else getattr(step, into.field) if into.field else None
        yield row.name if value is None else _line(row, value)
        if isinstance(step, PromptStep | RunStep) and step.capture is not None:
            capture = next(row for row in DIRECTIVES.values() if isinstance(row.into, Captures))
            yield _line(capture, step.capture)

    def _changed(self, step: Step, own: str | None) -> Iterator[str]:
        """The settings of a step that are other than before, but for what its value says too."""
        for row in DIRECTIVES.values():
            if not isinstance(row.into, Setting) or not isinstance(step, row.into.kind):
                continue
            if row.into.field == own:
                continue
            value = row.into.of(step)
            for entry in value if row.into.many else (value,):
                line = None if _written(row, entry) is None else _line(row, entry)
                key = f"{row.name} {entry[0]}" if row.into.many else row.name
                if line is None and row.into.back and key in self._lines:
                    line = f"{row.name} {row.into.back}"
                if line is not None and (row.into.once or self._lines.get(key) != line):
                    self._lines[key] = line
                    yield line


def _is_made_by(step: Step, into: Makes) -> bool:
    return isinstance(step, into.kind) and all(
        getattr(step, name) == value for name, value in into.given.items()
    )


def _written(row: Directive, value: object) -> str | None:
    return row.form.none if value is None else row.form.write(value)


def _line(row: Directive, value: object) -> str:
    text = _written(row, value)
    if not text:
        return row.name
    return _body(row.name, text) if row.is_text else f"{row.name} {text}"


def _body(name: str, text: str) -> str:
    """A body as a heredoc, whose end is a word that no line of it is."""
    word = "END"
    lines = {line.rstrip() for line in text.split("\n")}
    while word in lines:
        word += "_"
    return f"{name} <<{word}\n{text}\n{word}"

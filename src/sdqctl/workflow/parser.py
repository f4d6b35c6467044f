"""From directives to a Workflow. All mistakes of a text are found in one go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdqctl.model.workflow import (
    ContextSettings,
    Diagnostic,
    OutputSettings,
    Severity,
    Span,
    Workflow,
)
from sdqctl.workflow.directives import REFUSED
from sdqctl.workflow.file_directives import FileDirectives
from sdqctl.workflow.lexer import Item, lex
from sdqctl.workflow.step_directives import StepDirectives


@dataclass(frozen=True)
class ParsedWorkflow:
    """What a text says. `workflow` is None when there are errors."""

    workflow: Workflow | None
    diagnostics: tuple[Diagnostic, ...]


def parse_workflow(text: str, path: str) -> ParsedWorkflow:
    """Parse a workflow. Never raises: what is wrong is in the diagnostics.

    INCLUDE must have been resolved before (`source.load_workflow` does).
    """
    lexed = lex(text, path)
    return build(lexed.items, lexed.diagnostics, text, path)


def build(items: list[Item], diagnostics: list[Diagnostic], text: str, path: str) -> ParsedWorkflow:
    """A Workflow of directives that may come from several files."""
    builder = _Builder(text, path, list(diagnostics))
    for item in items:
        builder.add(item)
    return builder.finish()


def handler_name(directive: str) -> str:
    """The builder's method for a directive."""
    return "on_" + directive.lower().replace("-", "_")


class _Builder(FileDirectives, StepDirectives):
    def add(self, item: Item) -> None:
        """Take one directive in; a value that cannot be read is an error at its place."""
        if item.name in REFUSED:
            self._error(item, f"{item.name} is known, but sdqctl does not support it")
            return
        handler: Callable[[Item], None] = getattr(self, handler_name(item.name))
        try:
            self._note_use(item)
            handler(item)
        except ValueError as error:
            self._error(item, f"{item.name}: {error}", at_value=bool(item.value))

    def finish(self) -> ParsedWorkflow:
        """The workflow, if there is no error."""
        if self._block is not None:
            self._error(self._block.item, f"{self._block.item.name} has no END")
        self._tell_unused()
        if not self._steps and not self._has_errors():
            self._diagnostics.append(self._nothing_to_do())
        diagnostics = tuple(sorted(self._diagnostics, key=lambda d: (d.span, d.severity)))
        return ParsedWorkflow(None if self._has_errors() else self._workflow(), diagnostics)

    def _has_errors(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self._diagnostics)

    def _workflow(self) -> Workflow:
        return Workflow(
            path=self._path,
            source=self._text,
            context=ContextSettings(**self._context),
            output=OutputSettings(**self._output),
            compaction=self._settings.compact_step(Span(self._path, 0)),
            steps=tuple(self._steps),
            **{**self._fields, **{name: tuple(found) for name, found in self._lists.items()}},
        )

    def _nothing_to_do(self) -> Diagnostic:
        return Diagnostic(
            severity=Severity.ERROR,
            message="the workflow has no step: not one PROMPT or RUN",
            span=Span(self._path, 1),
            source_line=self._lines[self._path][0],
        )

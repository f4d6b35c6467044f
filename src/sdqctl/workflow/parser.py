"""From directives to a Workflow. All mistakes of a text are found in one go."""

from __future__ import annotations

from dataclasses import dataclass

from sdqctl.model.workflow import Diagnostic, Workflow
from sdqctl.workflow.building import Building
from sdqctl.workflow.lexer import Item, lex


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
    building = Building(text, path, list(diagnostics))
    for item in items:
        building.add(item)
    return ParsedWorkflow(building.workflow(), building.diagnostics())

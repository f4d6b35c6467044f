"""Where a piece of a directive's text stands in the file."""

from __future__ import annotations

from sdqctl.model.workflow import Span, Workflow

_MOST_LINES = 400
"""How far below its directive a piece of a body is looked for."""


def place_in(workflow: Workflow, span: Span, text: str, offset: int = 0) -> Span:
    """The place of a text that stands at or below a directive, and `offset` characters further.

    The directive's own place where it is not found, as in an included file.
    """
    first = text.split("\n")[0]
    if not first or span.file != workflow.path:
        return span
    lines = workflow.source.splitlines()
    for number in range(span.line, min(span.line + _MOST_LINES, len(lines) + 1)):
        column = lines[number - 1].find(first)
        if column >= 0:
            return Span(span.file, number, column + 1 + offset)
    return span

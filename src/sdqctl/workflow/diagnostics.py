"""Showing findings: `file:line:column: message`, the line, and a caret under the place."""

from __future__ import annotations

from collections.abc import Iterable

from sdqctl.model.workflow import Diagnostic, Severity

_WIDEST = 160


def describe(diagnostic: Diagnostic) -> str:
    """One finding in up to four lines."""
    span = diagnostic.span
    word = "" if diagnostic.severity is Severity.ERROR else "warning: "
    lines = [f"{span.file}:{span.line}:{span.column}: {word}{diagnostic.message}"]
    if diagnostic.source_line.strip():
        source = diagnostic.source_line.replace("\t", " ")[:_WIDEST]
        lines.append(f"    {source}")
        if span.column <= len(source) + 1:
            lines.append("    " + " " * (span.column - 1) + "^")
    if diagnostic.hint:
        lines.append(f"    {diagnostic.hint}")
    return "\n".join(lines)


def describe_errors(diagnostics: Iterable[Diagnostic]) -> str:
    """All errors, one after another."""
    errors = [d for d in diagnostics if d.severity is Severity.ERROR]
    return "\n".join(describe(error) for error in errors)

"""The .conv language: text -> Workflow -> Plan -> the prompts that are sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.conversation.parser import ParsedWorkflow
    from sdqctl.model.workflow import Diagnostic, Workflow


def load_workflow(path: Path) -> ParsedWorkflow:
    """Read and parse a workflow file. Raises UsageError for a missing one, WorkflowError."""
    from sdqctl.conversation.source import load_workflow

    return load_workflow(path)


def check_workflow(
    path: Path, warn: Callable[[Diagnostic], None] = lambda warning: None
) -> Workflow:
    """A workflow without errors; `warn` gets each warning.

    Raises WorkflowError with all errors, and UsageError for a file that is not there.
    """
    from sdqctl.conversation.diagnostics import describe_errors
    from sdqctl.errors import WorkflowError

    parsed = load_workflow(path)
    if parsed.workflow is None:
        raise WorkflowError(
            describe_errors(parsed.diagnostics), hint=f"`sdqctl validate {path}` shows warnings too"
        )
    for diagnostic in parsed.diagnostics:
        warn(diagnostic)
    return parsed.workflow

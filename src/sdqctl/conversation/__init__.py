"""The .conv language: text -> Workflow -> Plan -> the prompts that are sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.conversation.parser import ParsedWorkflow
    from sdqctl.model.workflow import Workflow


def load_workflow(path: Path) -> ParsedWorkflow:
    """Read and parse a workflow file. Raises UsageError for a missing one, WorkflowError."""
    from sdqctl.conversation.source import load_workflow

    return load_workflow(path)


def check_workflow(path: Path) -> Workflow:
    """A workflow without errors. Raises WorkflowError with all of them, and UsageError."""
    from sdqctl.conversation.diagnostics import describe_errors
    from sdqctl.errors import WorkflowError

    parsed = load_workflow(path)
    if parsed.workflow is None:
        raise WorkflowError(
            describe_errors(parsed.diagnostics), hint=f"`sdqctl validate {path}` shows warnings too"
        )
    return parsed.workflow

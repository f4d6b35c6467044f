"""The .conv language: text -> Workflow -> Plan -> the prompts that are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.model.workflow import Diagnostic, Workflow
    from sdqctl.workflow.parser import ParsedWorkflow


def load_workflow(path: Path, folder: Path | None = None) -> ParsedWorkflow:
    """Read and parse a workflow file; with a `folder`, in which the user is, also `-` and pipes.

    Raises UsageError for a file that is missing or, without a `folder`, can be read only once;
    WorkflowError.
    """
    from sdqctl.errors import UsageError
    from sdqctl.workflow.source import is_stream, load_stream, load_workflow

    if not is_stream(path):
        return load_workflow(path)
    if folder is None:
        raise UsageError(
            f"{path} is no file that can be read again",
            hint="write the workflow to a file; `sdqctl run -` reads one from stdin",
        )
    return load_stream(path, folder)


def prompts_workflow(prompts: Sequence[str], folder: Path) -> Workflow:
    """A workflow of prompts that a user typed in a folder. Raises UsageError, WorkflowError."""
    from sdqctl.errors import WorkflowError
    from sdqctl.workflow.diagnostics import describe_errors
    from sdqctl.workflow.source import load_prompts

    for prompt in prompts:
        refuse_unsendable(prompt)
    parsed = load_prompts(prompts, folder)
    if parsed.workflow is None:
        raise WorkflowError(describe_errors(parsed.diagnostics))
    return parsed.workflow


def refuse_unsendable(prompt: str) -> None:
    """Raise UsageError for a prompt that was typed and is empty, or not UTF-8."""
    from sdqctl.errors import UsageError
    from sdqctl.text.undecoded import is_decoded

    if not prompt.strip():
        raise UsageError("the prompt is empty")
    if not is_decoded(prompt):
        raise UsageError("the prompt is not UTF-8")


def check_workflow(
    path: Path,
    warn: Callable[[Diagnostic], None] = lambda warning: None,
    *,
    folder: Path | None = None,
) -> Workflow:
    """A workflow without errors; `warn` gets each warning. `folder` is as in `load_workflow`.

    Raises WorkflowError with all errors, and UsageError for a file that is not there.
    """
    from sdqctl.errors import WorkflowError
    from sdqctl.workflow.diagnostics import describe_errors
    from sdqctl.workflow.source import is_stream

    parsed = load_workflow(path, folder)
    if parsed.workflow is None:
        hint = None if is_stream(path) else f"`sdqctl validate {path}` shows warnings too"
        raise WorkflowError(describe_errors(parsed.diagnostics), hint=hint)
    for diagnostic in parsed.diagnostics:
        warn(diagnostic)
    return parsed.workflow

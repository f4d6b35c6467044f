"""What the session of a run is called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.errors import UsageError, WorkflowError
from sdqctl.model.session import name_problem, session_id_for

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.launch import RunRequest
    from sdqctl.model.workflow import Workflow


def session_name(
    app: App, request: RunRequest, workflow: Workflow, variables: Mapping[str, str], adapter: str
) -> str:
    """--session-name, else SESSION-NAME, else one made of the file's name and the time; template
    variables are filled in.

    Raises UsageError and WorkflowError for a name that cannot be one.
    """
    from sdqctl.workflow.render import render_text

    if request.session_name is not None:
        return given_name(render_text(request.session_name, variables))
    if workflow.session_name is None:
        stem = Path(workflow.path).stem[:60].strip() or "run"
        return _free_name(app, f"{stem}-{datetime.now():%Y%m%d-%H%M%S}", request, adapter)
    name = render_text(workflow.session_name, variables)
    if problem := name_problem(name):
        line = workflow.session_name_span.line if workflow.session_name_span else 1
        raise WorkflowError(f"{workflow.path}:{line}:1: SESSION-NAME {name!r} {problem}")
    return name


def given_name(name: str) -> str:
    """A name that the user gave. Raises UsageError when it cannot be one."""
    if problem := name_problem(name):
        raise UsageError(f"the session name {name!r} {problem}")
    return name


def _free_name(app: App, name: str, request: RunRequest, adapter: str) -> str:
    """The name, with a number where a session or another process has it already."""
    from sdqctl.store.claims import claim_name

    archive = app.archive(adapter)
    for number in count(1):
        free = name if number == 1 else f"{name}-{number}"
        if archive.get(session_id_for(free)) is not None:
            continue
        if request.flags.dry_run or claim_name(app.settings.home, free):
            return free
    raise AssertionError("numbers do not end")

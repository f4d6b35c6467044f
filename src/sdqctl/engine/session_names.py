"""What the session of a run is called."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import count
from pathlib import Path

from sdqctl.adapters.base import SessionArchive
from sdqctl.engine.variables import base_variables
from sdqctl.errors import UsageError, WorkflowError
from sdqctl.model.options import RunOptions
from sdqctl.model.session import find_called, name_problem, session_id_for
from sdqctl.model.workflow import PromptStep, Workflow
from sdqctl.store.claims import claim_name
from sdqctl.workflow.render import render_text
from sdqctl.workflow.source import PROMPTS_FILE

_LONGEST_STEM = 60
_WORDS = 6
_WORD = re.compile(r"[a-z0-9]+")


def wanted_name(workflow: Workflow, options: RunOptions, cwd: Path) -> str | None:
    """The name that was asked for, else SESSION-NAME, else None; template variables are filled in.

    Raises UsageError and WorkflowError for a name that cannot be one.
    """
    variables = base_variables(workflow, cwd, "")
    if options.session_name is not None:
        return given_name(render_text(options.session_name, variables))
    if workflow.session_name is None:
        return None
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


def free_name(workflow: Workflow, archive: SessionArchive, home: Path, *, claim: bool) -> str:
    """A name made of the file's name and the time, of typed prompts the first words; with a number
    where a session or another process has it already. `claim`: so that no other process takes it.
    """
    name, sessions = _suggested(workflow), [*archive.sessions()]
    for number in count(1):
        free = name if number == 1 else f"{name}-{number}"
        if find_called(sessions, free, session_id_for(free)) is not None:
            continue
        if not claim or claim_name(home, free):
            return free
    raise AssertionError("numbers do not end")


def _suggested(workflow: Workflow) -> str:
    path = Path(workflow.path)
    if path.name != PROMPTS_FILE:
        stem = path.stem[:_LONGEST_STEM].strip() or "run"
        return f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    first = next(step.text for step in workflow.steps if isinstance(step, PromptStep))
    words = _WORD.findall(first.casefold())[:_WORDS]
    return "-".join(words)[:_LONGEST_STEM].strip("-") or "prompt"

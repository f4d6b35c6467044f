"""What the session of a run is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from sdqctl.engine.setup import Setup
from sdqctl.engine.variables import base_variables
from sdqctl.errors import UsageError, WorkflowError
from sdqctl.model.options import RunOptions
from sdqctl.model.run import RunRecord
from sdqctl.model.session import SessionRef, folded, name_problem, session_id_for
from sdqctl.model.workflow import PromptStep, Workflow
from sdqctl.store.claims import claim_name
from sdqctl.store.ledger import Ledger
from sdqctl.store.redact import Redactor
from sdqctl.text.terminal import one_line
from sdqctl.workflow.render import render_text
from sdqctl.workflow.source import PROMPTS_FILE
from sdqctl.workflow.template import VARIABLE

_WORDS = 6
_COLUMNS = 40
"""Most words and columns of a name that is made up."""
_LONGEST_WORD = 20
"""Longer ones of plain letters and digits are ids, keys and the like."""
_WORD = re.compile(r"\w+")
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


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


def name_doubt(template: str | None, variables: Mapping[str, str]) -> str | None:
    """What is to be said of a session's name: a variable without a value, as that of a branch
    outside of a repository, makes one name of many.
    """
    known = VARIABLE.findall(template or "")
    lacking = next((name for name in known if variables.get(name) == ""), None)
    if lacking is None:
        return None
    return f"the session's name lacks {{{{{lacking}}}}}, which has no value in {variables['CWD']}"


def free_name(
    workflow: Workflow, adapter: str, setup: Setup, ledger: Ledger, *, claim: bool
) -> str:
    """The first words of the first prompt; with a number where a session, a recorded run or another
    process has them already. `claim`: so that no other process takes the name.
    """
    taken = {key for info in setup.archive(adapter).sessions() for key in info.keys}
    name = suggested_name(workflow, Redactor(setup.environment))
    for number in count(1):
        free = name if number == 1 else f"{name}-{number}"
        session_id = session_id_for(free)
        if not taken.isdisjoint((folded(free), folded(session_id))):
            continue
        if claim and not claim_name(setup.settings.home, free):
            continue
        if not ledger.runs_of(SessionRef(adapter, session_id)):
            return free  # else killed before its session was made, or made since we looked
    raise AssertionError("numbers do not end")


def suggested_name(workflow: Workflow, redact: Callable[[str], str]) -> str:
    """A short name out of the first prompt; of the file's name where that has no words or holds
    what looks like a secret.
    """
    prompts = (step.text for step in workflow.steps if isinstance(step, PromptStep))
    text = _TEMPLATE.sub(" ", next(prompts, ""))
    if redact(text) != text:
        text = ""
    words = [word for word in _WORD.findall(text.casefold()) if not _is_no_word(word)][:_WORDS]
    while len(words) > 1 and one_line("-".join(words), _COLUMNS) != "-".join(words):
        words.pop()
    if words:
        return one_line(words[0], _COLUMNS).rstrip("…") if len(words) == 1 else "-".join(words)
    path = Path(workflow.path)
    return "prompt" if path.name in ("", PROMPTS_FILE) else path.stem[:_COLUMNS].strip() or "run"


def _is_no_word(word: str) -> bool:
    return not word.strip("_") or (word.isascii() and len(word) > _LONGEST_WORD)


def unfinished_run(workflow: Workflow, ledger: Ledger) -> RunRecord | None:
    """The last run of a workflow file, in whatever session, if it has steps left."""
    rows = ledger.rows(
        "SELECT id FROM runs WHERE workflow_path = ? AND parent_run IS NULL "
        "ORDER BY number DESC LIMIT 1",
        workflow.path,
    )
    run = ledger.run(rows[0]["id"]) if rows else None
    return run if run is not None and run.status.unfinished else None

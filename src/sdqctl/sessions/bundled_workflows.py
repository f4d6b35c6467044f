"""The workflows of a bundle's runs: which files of this machine they are."""

from __future__ import annotations

from pathlib import Path

from sdqctl.errors import SdqctlError
from sdqctl.model.session import is_session_id
from sdqctl.sessions.bundle import Bundle
from sdqctl.store.workflows import keep_beside_others, kept_file, workflows_folder
from sdqctl.workflow import load_workflow
from sdqctl.workflow.format import whole_text

_LONGEST_STEM = 200
"""Bytes of a file's name that leave room for its ending and for a digest."""


def place_workflows(
    bundle: Bundle, home: Path, adapter: str, session_name: str, workflow: Path | None
) -> dict[str, str]:
    """Where each run's workflow is: in `workflow` if that is called so, at its old place if it
    still says the same, else a copy here, in the place of no other text. What is kept here for
    another session is none of its own; one that is not in the bundle is missing then.
    """
    texts, paths = bundle.workflows(), {}
    for run in bundle.rows().runs:
        run_id, path, text = run["id"], run.get("workflow_path"), texts.get(run["id"])
        if not path:
            continue
        file, kept = f"{_stem(path)}.conv", Path(path).is_relative_to(workflows_folder(home))
        if text is None:
            if kept:
                paths[run_id] = str(kept_file(home, file, adapter, session_name, ""))
        elif workflow is not None and workflow.name == Path(path).name:
            paths[run_id] = str(workflow)
        elif not kept and workflow_text(Path(path)) == text:
            paths[run_id] = path
        else:
            paths[run_id] = str(keep_beside_others(home, file, adapter, session_name, text))
    return paths


def _stem(path: str) -> str:
    """What a workflow's file is called, without its ending; a path may say anything."""
    stem = Path(path).stem
    return stem if is_session_id(stem) and len(stem.encode()) <= _LONGEST_STEM else "workflow"


def workflow_text(path: Path) -> str | None:
    """A workflow file's text with its includes resolved, None when it cannot be read."""
    try:
        workflow = load_workflow(path).workflow
    except SdqctlError:
        return None
    return None if workflow is None else whole_text(workflow)

"""The workflows of a bundle's runs: which files of this machine they are."""

from __future__ import annotations

from pathlib import Path

from sdqctl.errors import SdqctlError
from sdqctl.model.session import is_session_id
from sdqctl.sessions.bundle import Bundle
from sdqctl.store.workflows import keep_beside_others
from sdqctl.workflow import load_workflow
from sdqctl.workflow.format import whole_text

_LONGEST_STEM = 200
"""Bytes of a file's name that leave room for its ending and for a digest."""


def place_workflows(
    bundle: Bundle, home: Path, adapter: str, session_name: str, workflow: Path | None
) -> dict[str, str]:
    """Where each run's workflow is: in `workflow` if that is called so, at its old place if it
    still says the same, else a copy here, in the place of no other text.
    """
    recorded = {run.get("id"): run.get("workflow_path") for run in bundle.rows().runs}
    paths = {}
    for run_id, text in bundle.workflows().items():
        path = recorded.get(run_id)
        if not isinstance(path, str) or not path:
            continue
        if workflow is not None and workflow.name == Path(path).name:
            paths[run_id] = str(workflow)
            continue
        if workflow_text(Path(path)) == text:
            paths[run_id] = path
            continue
        file = f"{_stem(path)}.conv"
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

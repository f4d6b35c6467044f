"""The action: its programs do on a runner what the workflow of a job does by hand."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.ci.runners import Pipeline
from tests.conftest import ROOT

ACTION = ROOT / "action"
ASKING = """\
SESSION-NAME s
PROMPT a [[reply: A]]
ASK ok "Shall it go on?" choice(yes|no)
PROMPT b [[reply: B]]
"""


@pytest.fixture
def ci(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    (tmp_path / "ci").mkdir()
    return Pipeline(tmp_path / "ci", ASKING)


def act(ci: Pipeline, program: str, **inputs: str) -> tuple[int, str, dict[str, str]]:
    """Run one of the programs as the runner does; its exit code, its log and its outputs."""
    output = ci.folder / "output"
    output.write_text("")
    own = {"ARGUMENTS": "", "ANSWER": "", "RECIPIENT": "", "WORKFLOW": "work.conv"}
    environment = {
        **os.environ,
        **own,
        "PATH": f"{Path(sys.executable).parent}:{ci.folder}/bin:{os.environ['PATH']}",
        "STATE": str(ci.state),
        "JUNIT": str(ci.folder / "junit.xml"),
        "GITHUB_ACTION_PATH": str(ACTION),
        "GITHUB_OUTPUT": str(output),
        **ci.runner(),
        **inputs,
    }
    line = ["bash", str(ACTION / program)]
    done = subprocess.run(
        line, cwd=ci.clone, env=environment, capture_output=True, text=True, check=False
    )
    told = {}
    for each in output.read_text().splitlines():
        name, _, told[name] = each.partition("=")
    return done.returncode, done.stdout + done.stderr, told


def test_a_run_that_waits_is_no_failure_and_is_answered_by_an_input(ci: Pipeline) -> None:
    code, log, outputs = act(ci, "run.sh")
    assert (code, outputs["status"], outputs["exit-code"]) == (0, "paused", "8"), log
    code, log, outputs = act(ci, "run.sh", ANSWER="$(no)", ARGUMENTS="--quiet\n\n--max-steps=9\n")
    assert (code, outputs["status"]) == (2, "failed")
    code, log, outputs = act(ci, "run.sh", ANSWER="yes")
    assert (code, outputs["status"]) == (0, "completed"), log
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]
    assert Path(outputs["junit"]).exists()


def listed(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """An artifact as GitHub lists it."""
    run = {"id": 7, "head_branch": "main", "head_repository_id": 1, "repository_id": 1}
    whole = {"name": "s", "expired": False, "created_at": "2026-01-02T00:00:00Z"}
    own = {key: value for key, value in changes.items() if key in whole}
    return {
        **whole,
        **own,
        "workflow_run": {**run, **{k: changes[k] for k in changes.keys() & run}},
    }


@pytest.mark.parametrize(
    ("artifacts", "found"),
    [
        ([listed()], 7),
        ([listed(), listed(id=8, created_at="2026-01-03T00:00:00Z"), listed(id=9)], 8),
        ([listed(head_branch="other"), listed(name="t"), listed(expired=True)], None),
        ([listed(), listed(id=8, created_at="2027-01-01T00:00:00Z", head_repository_id=2)], 7),
        ([], None),
    ],
)
def test_the_newest_state_of_the_branch_is_taken_and_none_of_a_fork(
    artifacts: list[dict[str, Any]], found: int | None
) -> None:
    spec = importlib.util.spec_from_file_location("newest", ACTION / "newest.py")
    assert spec is not None
    assert spec.loader is not None
    newest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(newest)
    assert newest.newest_run({"artifacts": artifacts}, "s", "main") == found


@pytest.mark.parametrize("known", [True, False])
def test_the_state_is_fetched_where_there_is_one(ci: Pipeline, known: bool) -> None:
    fake = ci.folder / "bin" / "gh"
    fake.parent.mkdir()
    answer = json.dumps({"artifacts": [listed()] if known else []})
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {ci.folder}/asked\ncase $1 in\n'
        f"api) cat <<'END'\n{answer}\nEND\n;;\nrun) echo bytes > \"$9/state\";;\nesac\n"
    )
    fake.chmod(0o755)
    inputs = {"NAME": "s", "GITHUB_REPOSITORY": "o/r", "GITHUB_REF_NAME": "main"}
    code, log, _ = act(ci, "restore.sh", STATE=str(ci.folder / "new" / "state"), **inputs)
    assert code == 0, log
    asked = (ci.folder / "asked").read_text().splitlines()
    assert asked[0] == "api repos/o/r/actions/artifacts?name=s&per_page=100"
    assert (ci.folder / "new" / "state").exists() == known == (len(asked) == 2)

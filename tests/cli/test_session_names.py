"""What the session of a run is called when nobody names it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from sdqctl.store.claims import claim_name
from tests.command import SDQCTL, sdqctl

SAME_SECOND = 8


@pytest.fixture
def workflow(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow without a session name."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    path = project / "w.conv"
    path.write_text("PROMPT hi [[reply: done]]\n")
    return path


def test_runs_of_one_file_at_the_same_time_get_sessions_of_their_own(workflow: Path) -> None:
    started = [
        subprocess.Popen([*SDQCTL, "run", workflow, "-q"], stderr=subprocess.PIPE, text=True)
        for _ in range(SAME_SECOND)
    ]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert ended == [("", 0)] * SAME_SECOND
    names = [entry["name"] for entry in sdqctl("sessions", "list", "--format", "json").json]
    assert len({*names}) == SAME_SECOND


def test_the_same_file_twice_in_one_command_gets_two_sessions(workflow: Path) -> None:
    done = sdqctl("run", workflow, workflow)
    assert done.code == 0, done.err
    assert len(sdqctl("sessions", "list", "--format", "json").json) == 2


def test_a_dry_run_takes_no_name(home: Path, workflow: Path) -> None:
    assert sdqctl("run", workflow, "--dry-run").code == 0
    assert not (home / "sdqctl" / "names").exists()


def test_a_name_is_had_by_one_and_forgotten_after_a_day(tmp_path: Path) -> None:
    assert claim_name(tmp_path, "a")
    assert not claim_name(tmp_path, "A")
    assert claim_name(tmp_path, "b")
    yesterday = time.time() - 86_401
    for path in (tmp_path / "names").iterdir():
        os.utime(path, (yesterday, yesterday))
    assert claim_name(tmp_path, "a")
    assert len([*(tmp_path / "names").iterdir()]) == 1

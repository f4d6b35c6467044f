"""An adapter of a package of its own, built to a wheel and installed beside ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Running, sdqctl
from tests.conftest import ROOT
from tests.packages import install
from tests.waiting import wait_for

PACKAGE = ROOT / "tests" / "outside_adapter"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed package's folder."""
    folder = tmp_path_factory.mktemp("package") / "installed"
    install(PACKAGE, folder)
    return folder


@pytest.fixture
def echo(installed: Path, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, found by all that is started."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    return installed


@pytest.mark.thorough
def test_a_workflow_runs_in_its_sessions(echo: Path, project: Path) -> None:
    (project / "w.conv").write_text("SESSION-NAME talk\nPROMPT one\nPROMPT two\nRUN true\n")
    done = sdqctl("run", "-a", "echo", "w.conv", "--format", "json")
    assert done.code == 0, done.err
    assert done.json["run"]["status"] == "completed"
    assert [step["response"] for step in done.json["run"]["steps"][:2]] == ["one", "two"]
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    assert (listed["name"], listed["adapter"], listed["turns"]) == ("talk", "echo", 2)
    again = sdqctl("resume", "talk", "--prompt", "three")
    assert (again.code, again.out.strip()) == (0, "three"), again.err
    assert "echo: ok 1.0" in sdqctl("status", "--adapters").out


@pytest.mark.thorough
def test_its_tools_are_bound_by_the_policy(echo: Path, project: Path) -> None:
    (project / "w.conv").write_text("MODE implement\nPROMPT write here.txt\nPROMPT write .git/x\n")
    (project / ".git").mkdir()
    done = sdqctl("run", "-a", "echo", "w.conv", "--format", "json")
    assert done.code == 0, done.err
    assert (project / "here.txt").exists()
    assert not (project / ".git" / "x").exists()
    assert len(done.json["denied"]) == 1


@pytest.mark.thorough
def test_a_run_that_was_killed_goes_on(echo: Path, project: Path) -> None:
    (project / "w.conv").write_text("SESSION-NAME cut\nPROMPT one\nPROMPT two\n")
    killed = sdqctl("run", "-a", "echo", "w.conv", SDQCTL_CRASH_AT="ledger.finish.before:1")
    assert killed.code == -9
    done = sdqctl("resume", "cut", "--continue", "--format", "json")
    assert done.code == 0, done.err
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    assert listed["turns"] == 2


@pytest.mark.thorough
def test_a_cut_off_prompt_stays_where_the_adapter_does_not_rewind(
    echo: Path, home: Path, project: Path
) -> None:
    (project / "w.conv").write_text("SESSION-NAME cut\nPROMPT wait\n")
    running = Running(
        "run", "-a", "echo", "w.conv", stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    journal = home / "sdqctl" / "echo" / "cut" / "events.jsonl"
    wait_for(lambda: journal.exists() and "user.message" in journal.read_text())
    running.kill()
    running.communicate()
    refused = sdqctl("resume", "cut", "--continue", "--on-interrupted", "resend")
    assert refused.code == 5
    assert "the echo adapter does not take prompts out of conversations" in refused.err
    done = sdqctl("resume", "cut", "--continue")
    assert done.code == 0, done.err
    assert "interrupted after it was sent; the agent is asked to finish it" in done.err


@pytest.mark.thorough
def test_its_sessions_are_carried_renamed_by_none_and_deleted(echo: Path, project: Path) -> None:
    (project / "w.conv").write_text("SESSION-NAME one\nPROMPT hello\n")
    assert sdqctl("run", "-a", "echo", "w.conv").code == 0
    refused = sdqctl("sessions", "rename", "one", "two")
    assert refused.code == 5
    assert "the echo adapter does not rename sessions" in refused.err
    assert sdqctl("sessions", "delete", "one", "--force").code == 0
    assert sdqctl("sessions", "list", "--format", "json").json == []
    assert sdqctl("sessions", "restore", "one").code == 0
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    assert listed["name"] == "one"


def test_it_passes_the_contract_with_nothing_of_our_tests(echo: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(PACKAGE / "contract", alone)
    (alone / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    # Folders of its own: in those of this run it would shut out the user of Postgres.
    own = ["-p", "no:cacheprovider", f"--basetemp={tmp_path / 'folders'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *own, str(alone)],
        cwd=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    assert "failed" not in done.stdout

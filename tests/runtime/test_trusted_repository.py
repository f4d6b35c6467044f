"""What a repository brings for the Copilot runtime runs when it is trusted, as it was trusted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Done, sdqctl

pytestmark = pytest.mark.runtime


@pytest.fixture
def repository(home: Path, project: Path, model: LoopbackModel) -> Path:
    """A repository whose hook leaves a line in `ran.txt` for each prompt."""
    subprocess.run(["git", "init", "-q", project], check=True)
    write_hook(project, "first")
    (project / "w.conv").write_text("MODE implement\nPROMPT hi [[reply: done]]\n")
    return project


def write_hook(project: Path, says: str) -> None:
    """A hook that writes what it says."""
    command = f"echo {says} >> {project / 'ran.txt'}"
    hook = {"type": "command", "bash": command, "timeoutSec": 10}
    path = project / ".github" / "hooks" / "prompt.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, "hooks": {"userPromptSubmitted": [hook]}}))


def said(project: Path) -> list[str]:
    """What hooks have written."""
    path = project / "ran.txt"
    return path.read_text().split() if path.exists() else []


def run(*arguments: str) -> Done:
    """A run that ends well."""
    done = sdqctl("run", *arguments)
    assert done.code == 0, done.err
    return done


@pytest.mark.thorough
def test_a_hook_runs_once_trusted_and_not_after_it_changed(repository: Path) -> None:
    assert "sdqctl trust" in run("w.conv", "--session-name", "untrusted").err
    assert said(repository) == []
    assert sdqctl("trust", "--yes").code == 0
    run("w.conv", "--session-name", "trusted")
    assert said(repository) == ["first"]
    sdqctl("resume", "trusted", "--mode", "implement", "--prompt", "again [[reply: done]]")
    assert said(repository) == ["first", "first"]
    run("w.conv", "--session-name", "left-out", "--no-repository-config")
    assert said(repository) == ["first", "first"]
    write_hook(repository, "second")
    run("w.conv", "--session-name", "changed")
    sdqctl("resume", "trusted", "--mode", "implement", "--prompt", "then [[reply: done]]")
    assert said(repository) == ["first", "first"]
    run("w.conv", "--session-name", "once", "--trust-once")
    assert said(repository) == ["first", "first", "second"]


@pytest.mark.thorough
def test_a_hook_that_changes_during_the_run_does_not_come_into_effect(repository: Path) -> None:
    write_hook(repository, "first")
    changed = json.dumps((repository / ".github/hooks/prompt.json").read_text())
    (repository / "change.py").write_text(
        "from pathlib import Path\n"
        f"Path('.github/hooks/prompt.json').write_text({changed}.replace('first', 'planted'))\n"
    )
    (repository / "long.conv").write_text(
        "MODE implement\nPROMPT a [[reply: one]]\nRUN python3 change.py\n"
        "NEW-CONVERSATION\nPROMPT b [[reply: two]]\n"
    )
    done = run("long.conv", "--trust-once")
    assert said(repository) == ["first"]
    assert "is not as it was when the run began" in done.err

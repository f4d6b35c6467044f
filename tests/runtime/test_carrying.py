"""A session of the real runtime carried to another machine, deleted and restored, and forked."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.workspace.gits import repository

pytestmark = pytest.mark.runtime

WORKFLOW = """\
SESSION-NAME audit
PROMPT step-1 [[reply: one]]
CHECKPOINT half
PROMPT step-2 [[reply: two]]
PAUSE
PROMPT step-3 [[reply: three]]
"""


@pytest.fixture
def audit(home: Path, project: Path, model: LoopbackModel) -> Path:
    path = project / "audit.conv"
    path.write_text(WORKFLOW)
    assert sdqctl("run", path).code == 8
    return path


def steps(model: LoopbackModel) -> list[str]:
    return [text.split()[0] for text in model.user_messages()]


@pytest.mark.thorough
def test_a_bundle_is_resumed_with_its_whole_history_under_other_homes(
    audit: Path, home: Path, model: LoopbackModel, tmp_path: Path
) -> None:
    file = tmp_path / "audit.sdqctl"
    done = sdqctl("sessions", "export", "audit", "--format", "bundle", "-o", file)
    assert done.code == 0, done.err
    other, folder = tmp_path / "other", tmp_path / "checkout"
    other.mkdir()
    folder.mkdir()
    audit.unlink()
    there = {
        "HOME": str(other),
        "SDQCTL_HOME": str(other / "sdqctl"),
        "COPILOT_HOME": str(other / "copilot"),
    }

    def run(*arguments: str) -> str:
        done = sdqctl(*arguments, **there)
        assert done.code == 0, done.err
        return done.out

    assert run("sessions", "import", str(file), "--cwd", str(folder)) == "audit\n"
    assert str(folder) in run("sessions", "list")
    assert run("resume", "audit", "--prompt", "aside [[reply: seen]]") == "seen\n"
    assert steps(model) == ["step-1", "step-2", "aside"]
    assert run("resume", "audit", "--continue") == "three\n"
    assert steps(model) == ["step-1", "step-2", "aside", "step-3"]
    assert "completed" in run("sessions", "list")


@pytest.mark.thorough
def test_a_bundle_without_its_secrets_is_resumed(
    home: Path, project: Path, model: LoopbackModel, tmp_path: Path
) -> None:
    secret = "hunter2" * 2
    command = '{"command": "echo password=' + secret + '", "description": "say"}'
    path = project / "leaky.conv"
    path.write_text(
        f"SESSION-NAME leaky\nMODE implement\n"
        f"PROMPT step-1 [[tool: bash {command}]] [[reply: one]]\n"
        f"PROMPT step-2 token={secret}xyz [[reply: two]]\nPAUSE\nPROMPT step-3 [[reply: three]]\n"
    )
    assert sdqctl("run", path).code == 8
    file = tmp_path / "leaky.sdqctl"
    done = sdqctl("sessions", "export", "leaky", "--format", "bundle", "-o", file)
    assert done.code == 0, done.err
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            assert secret not in archive.read(name).decode(), name
        journal = archive.read("session/events.jsonl").decode().splitlines()
    original = (home / "copilot" / "session-state" / "leaky" / "events.jsonl").read_text()
    ids = [[json.loads(line)["id"] for line in lines] for lines in (journal, original.splitlines())]
    assert ids[0] == ids[1]
    assert sdqctl("sessions", "import", file, "--name", "clean").code == 0
    done = sdqctl("resume", "clean", "--prompt", "aside [[reply: seen]]")
    assert (done.code, done.out) == (0, "seen\n"), done.err
    assert steps(model) == ["step-1", "step-2", "aside"]
    history = json.dumps(model.requests[-1].body)
    assert "[redacted]" in history
    assert secret not in history
    done = sdqctl("resume", "clean", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err


@pytest.mark.thorough
def test_a_deleted_session_is_restored_and_resumed(audit: Path, model: LoopbackModel) -> None:
    assert sdqctl("sessions", "delete", "audit", "--force").code == 0
    assert sdqctl("sessions", "show", "audit").code == 7
    restored = sdqctl("sessions", "restore", "audit")
    assert restored.code == 0, restored.err
    done = sdqctl("resume", "audit", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err
    assert steps(model) == ["step-1", "step-2", "step-3"]


@pytest.mark.thorough
@pytest.mark.parametrize("point", ["ledger.unsettle.after:1", "delete.deleted:1"])
def test_a_killed_delete_leaves_a_session_or_nothing_of_it(
    point: str, audit: Path, model: LoopbackModel
) -> None:
    assert sdqctl("sessions", "delete", "audit", "--force", SDQCTL_CRASH_AT=point).code == -9
    if point.startswith("delete"):
        assert sdqctl("run", audit).code == 8
        assert steps(model) == ["step-1", "step-2"]
    done = sdqctl("resume", "audit", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err
    assert steps(model) == ["step-1", "step-2", "step-3"]


@pytest.mark.thorough
def test_a_fork_and_its_original_both_go_on_differently(audit: Path, model: LoopbackModel) -> None:
    forked = sdqctl("sessions", "fork", "audit", "other", "--at", "half")
    assert forked.code == 0, forked.err
    audit.write_text(WORKFLOW.replace("step-2 [[reply: two]]", "step-2b [[reply: two b]]"))
    done = sdqctl("resume", "other", "--continue")
    assert (done.code, done.out) == (8, "two b\n"), done.err
    assert steps(model) == ["step-1", "step-2b"]
    audit.write_text(WORKFLOW)
    done = sdqctl("resume", "audit", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err
    assert steps(model) == ["step-1", "step-2", "step-3"]


@pytest.mark.thorough
@pytest.mark.parametrize("point", ["fork.copied:1", "ledger.fork.before:2"])
def test_a_fork_that_was_killed_is_made_by_the_same_command(
    point: str, audit: Path, model: LoopbackModel
) -> None:
    for _ in range(2):
        assert sdqctl("sessions", "fork", "audit", "other", SDQCTL_CRASH_AT=point).code == -9
    refused = sdqctl("resume", "other", "--continue")
    assert refused.code == 4
    assert "sdqctl sessions fork audit other" in refused.err
    forked = sdqctl("sessions", "fork", "audit", "other")
    assert forked.code == 0, forked.err
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert sorted(e["name"] for e in listed) == ["audit", "other"]
    done = sdqctl("resume", "other", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err
    assert steps(model) == ["step-1", "step-2", "step-3"]


@pytest.mark.thorough
def test_a_renamed_session_is_found_by_both_clients(audit: Path, model: LoopbackModel) -> None:
    assert sdqctl("sessions", "rename", "audit", "audit of november").code == 0
    assert [e["name"] for e in sdqctl("sessions", "list", "--format", "json").json] == [
        "audit of november"
    ]
    done = sdqctl("resume", "audit of november", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err


@pytest.mark.thorough
def test_a_fork_of_a_completed_session_is_completed_and_swept(
    audit: Path, model: LoopbackModel
) -> None:
    assert sdqctl("resume", "audit", "--continue").code == 0
    assert sdqctl("sessions", "fork", "audit", "other").code == 0
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert {e["name"]: e["status"] for e in listed} == {"audit": "completed", "other": "completed"}
    swept = sdqctl("sessions", "cleanup", "--older-than", "0s")
    assert (swept.code, set(swept.out.split())) == (0, {"audit", "other"}), swept.err


GROWING = """\
SESSION-NAME grow
MODE implement
ALLOW-SHELL true
PROMPT step-1 [[tool: bash {"command": "echo one >> a.txt", "description": "x"}]] [[reply: one]]
PROMPT step-2 [[tool: bash {"command": "echo two >> a.txt", "description": "x"}]] [[reply: two]]
"""


@pytest.mark.thorough
def test_a_fork_has_the_talk_and_the_files_of_a_step(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    repository(project, {"a.txt": "zero\n", "grow.conv": GROWING})
    done = sdqctl("run", project / "grow.conv")
    assert done.code == 0, done.err
    done = sdqctl("sessions", "fork", "grow", "again", "--at", "1", "--worktree")
    assert done.code == 0, done.err
    tree = Path(sdqctl("worktrees", "path", "again").out.strip())
    assert (tree / "a.txt").read_text() == "zero\none\n"
    done = sdqctl("resume", "again", "--continue")
    assert (done.code, done.out) == (0, "two\n"), done.err
    assert (tree / "a.txt").read_text() == "zero\none\ntwo\n"
    assert (project / "a.txt").read_text() == "zero\none\ntwo\n"
    assert steps(model) == ["step-1", "step-2"]
    ask = 'aside [[tool: bash {"command": "pwd", "description": "x"}]] [[reply: seen]]'
    done = sdqctl("resume", "again", "--prompt", ask, "--mode", "implement", "-v")
    assert (done.code, done.out) == (0, "seen\n"), done.err
    assert str(tree) in json.dumps(model.requests[-1].body)
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert {each["name"]: each["cwd"] for each in listed}["again"] == str(tree)

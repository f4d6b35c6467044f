"""What the session of a run is called when nobody names it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from sdqctl.engine.session_names import suggested_name
from sdqctl.model.workflow import PromptStep, Span, Workflow
from sdqctl.store.claims import claim_name
from sdqctl.store.redact import Redactor
from tests.bench import Bench, Told
from tests.command import Running, sdqctl
from tests.workspace.gits import git

SAME_SECOND = 8


@pytest.fixture
def workflow(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow without a session name."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    path = project / "w.conv"
    path.write_text("PROMPT hi [[reply: done]]\n")
    return path


def test_runs_of_one_file_at_the_same_time_get_sessions_of_their_own(workflow: Path) -> None:
    started = [Running("run", workflow, "-q", stderr=subprocess.PIPE) for _ in range(SAME_SECOND)]
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


def test_a_name_is_had_by_one_for_as_long_as_it_lives(tmp_path: Path) -> None:
    assert claim_name(tmp_path, "a")
    assert not claim_name(tmp_path, "A")
    assert claim_name(tmp_path, "b")
    for path in (tmp_path / "names").iterdir():
        path.write_text(f"{os.getpid()} of an earlier process")
    assert claim_name(tmp_path, "a")
    assert not claim_name(tmp_path, "a")


def test_claims_that_nobody_needs_are_removed_after_a_day(tmp_path: Path) -> None:
    assert claim_name(tmp_path, "a")
    yesterday = time.time() - 86_401
    for path in (tmp_path / "names").iterdir():
        os.utime(path, (yesterday, yesterday))
    assert claim_name(tmp_path, "b")
    assert len([*(tmp_path / "names").iterdir()]) == 1


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Which inputs reach a shell? Look at all of it.", "which-inputs-reach-a-shell-look"),
        ("# Review {{GIT_BRANCH}} now", "review-now"),
        ("Schreib die Änderungen auf", "schreib-die-änderungen-auf"),
        ("\u4f60\u597d", "\u4f60\u597d"),
        ("\u4f60" * 60, "\u4f60" * 19),
        ("internationalisation " * 4, "internationalisation"),
        ("Look at 3f2504e04f8941d39a0c0305e82c3301 first", "look-at-first"),
        ("Use password=hunter2hunter2 to sign in", "work"),
        ("Use TOKEN-OF-MINE to sign in", "work"),
        ("?!", "work"),
        ("{{DATE}}", "work"),
    ],
)
def test_a_session_is_called_after_its_first_prompt_unless_that_is_a_secret(
    prompt: str, name: str
) -> None:
    workflow = Workflow(
        path="/project/work.conv", source="", steps=(PromptStep(span=Span("", 1), text=prompt),)
    )
    assert suggested_name(workflow, Redactor({"API_KEY": "TOKEN-OF-MINE"})) == name


def test_a_workflow_without_a_prompt_is_called_after_its_file(bench: Bench) -> None:
    bench.write("tidy up.conv", "RUN true\n")
    assert sdqctl("run", "tidy up.conv").code == 0
    assert [e["name"] for e in sdqctl("sessions", "list", "--format", "json").json] == ["tidy up"]


NAMED = "SESSION-NAME audit-{{GIT_BRANCH}}\nPROMPT a\n"


def opened(told: Told) -> str:
    name: str = told.of("session.opened")[0]["name"]
    return name


def test_a_branch_names_a_session_before_its_first_commit_and_after(bench: Bench) -> None:
    git(bench.project, "init", "-q", "-b", "fix/login")
    assert opened(bench.run(NAMED)) == "audit-fix/login"
    git(bench.project, "commit", "-q", "--allow-empty", "-m", "first")
    assert opened(bench.run(NAMED, "--resume-if-exists")) == "audit-fix/login"
    git(bench.project, "checkout", "-q", "--detach")
    assert opened(bench.run(NAMED)) == "audit-HEAD"


def test_without_a_branch_a_name_that_uses_it_is_warned_of(bench: Bench) -> None:
    bench.write("work.conv", NAMED)
    lacks = "warning: the session's name lacks {{GIT_BRANCH}}, which has no value in"
    assert lacks in sdqctl("run", "work.conv").err
    assert lacks not in sdqctl("run", "work.conv", "--session-name", "audit").err
    bench.write("outer.conv", "SESSION-NAME outer\nCALL work.conv\n")
    assert lacks not in sdqctl("run", "outer.conv").err
    git(bench.project, "init", "-q")
    assert lacks not in sdqctl("run", "work.conv").err


def test_what_is_said_of_a_name_that_begins_with_a_dash_works_as_it_stands(bench: Bench) -> None:
    bench.write("w.conv", 'ASK verdict "Well?" choice(yes|no)\nPAUSE look\nPROMPT {{verdict}}\n')
    asked = sdqctl("run", "w.conv", "--session-name=-x")
    [answer] = re.findall("`sdqctl ([^`]*)`", asked.err)
    paused = sdqctl(*shlex.split(answer.replace("VALUE", "yes")))
    assert paused.code == 8, paused.err
    [on] = re.findall("`sdqctl ([^`]*)`", paused.err)
    assert sdqctl(*shlex.split(on)).code == 0
    refused = sdqctl("resume", "-x", "--continue")
    assert refused.code == 2
    assert "after `--`" in refused.err
    assert "after `--`" not in sdqctl("resume", "x", "--contniue").err


def test_the_same_file_again_is_a_new_session_and_says_what_is_unfinished(bench: Bench) -> None:
    bench.write("w.conv", 'PROMPT Say hello\nPAUSE "wait"\nPROMPT Say more\n')
    assert sdqctl("run", "w.conv").code == 8
    again = sdqctl("run", "w.conv")
    assert again.code == 8
    assert "`sdqctl resume say-hello --continue` goes on with that one" in again.err
    assert "new session say-hello-2" in again.err
    for name in ("say-hello", "say-hello-2"):
        assert sdqctl("resume", name, "--continue").code == 0
    assert "--continue" not in sdqctl("run", "w.conv", "--session-name", "x").err.split("paused")[0]


def test_a_name_is_free_again_when_its_session_is_deleted(workflow: Path) -> None:
    for _ in range(2):
        assert "new session hi-reply-done (mock)" in sdqctl("run", workflow).err
        assert sdqctl("sessions", "delete", "hi-reply-done", "--force", "--purge").code == 0


def test_a_dry_run_of_files_that_begin_alike_is_no_conflict(bench: Bench) -> None:
    for name in ("a.conv", "b.conv"):
        bench.write(name, "PROMPT Say hello\n")
    assert sdqctl("run", "a.conv", "b.conv", "--dry-run").code == 0
    assert sdqctl("run", "a.conv", "b.conv").code == 0
    names = {e["name"] for e in sdqctl("sessions", "list", "--format", "json").json}
    assert names == {"say-hello", "say-hello-2"}

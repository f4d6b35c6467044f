"""A step that was cut off is taken out of the talk and of the work tree, and done again."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.bench import Bench
from tests.command import Done, Running, sdqctl
from tests.waiting import has_line, wait_for, wait_until_gone

STEP = (
    "second [[tool: shell echo 1 >> acts]] [[tool: shell echo 2 >> acts]] [[reply: both are done]]"
)
WORKFLOW = (
    "SESSION-NAME s\nMODE implement\nPROMPT first [[tool: shell echo 0 >> acts]]\n"
    f"PROMPT {STEP}\nPROMPT third\n"
)
KILLED = (-signal.SIGKILL, 137)


def git(bench: Bench, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", bench.project, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(bench: Bench) -> Bench:
    """The project as a repository with one commit and a file that is not committed."""
    git(bench, "init", "-q")
    (bench.project / "readme").write_text("text\n")
    git(bench, "add", "-A")
    git(bench, "-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "first")
    (bench.project / "notes").write_text("a user's\n")
    return bench


def cut_off(bench: Bench, text: str = WORKFLOW, point: str = "mock.tool.after:2") -> None:
    """A run that was killed after the first of its second prompt's two tools."""
    path = bench.write("work.conv", text)
    done = sdqctl("run", path, SDQCTL_CRASH_AT=point)
    assert done.code in KILLED, done.err


def go_back(*flags: str, **environment: str) -> Done:
    return sdqctl("resume", "s", "--continue", "--on-interrupted", "rewind", *flags, **environment)


def prompts() -> list[str]:
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    return [turn["prompt"].split()[0] for turn in shown["turns"]]


def acts(bench: Bench) -> list[str]:
    return (bench.project / "acts").read_text().split()


@pytest.mark.parametrize("kind", ["repository", "bench"])
def test_talk_and_files_go_back_and_the_prompt_is_sent_again(
    kind: str, request: pytest.FixtureRequest
) -> None:
    bench: Bench = request.getfixturevalue(kind)
    cut_off(bench)
    assert acts(bench) == ["0", "1"]
    done = go_back()
    assert done.code == 0, done.err
    assert "sent again with its files taken back" in done.err
    assert acts(bench) == ["0", "1", "2"]
    assert prompts() == ["first", "second", "third"]


def test_the_user_s_index_and_branch_are_as_before(repository: Bench) -> None:
    (repository.project / "staged").write_text("staged\n")
    git(repository, "add", "staged")
    before = git(repository, "diff", "--cached"), git(repository, "log", "--oneline", "HEAD")
    cut_off(repository)
    assert go_back().code == 0
    after = git(repository, "diff", "--cached"), git(repository, "log", "--oneline", "HEAD")
    assert after == before
    assert (repository.project / "notes").read_text() == "a user's\n"


def change(bench: Bench, kind: str) -> None:
    """What a user does to the tree after the kill."""
    if kind == "edit":
        (bench.project / "readme").write_text("mine\n")
    elif kind == "add":
        (bench.project / "mine").write_text("mine\n")
    else:
        (bench.project / "notes").unlink()


def tree(bench: Bench) -> dict[str, str]:
    files = [path for path in bench.project.iterdir() if path.is_file()]
    return {path.name: path.read_text() for path in files}


@pytest.mark.each(3)
@pytest.mark.parametrize("kind", ["edit", "add", "delete"])
def test_what_the_user_changed_meanwhile_is_not_overwritten(kind: str, repository: Bench) -> None:
    cut_off(repository)
    change(repository, kind)
    before = tree(repository)
    for _ in range(2):
        stopped = go_back()
        assert (stopped.code, stopped.out) == (4, ""), stopped.err
        assert "files were changed after it was cut off" in stopped.err
        assert tree(repository) == before
    kept = stopped.err.split("kept as ")[1][:12]
    assert git(repository, "show", f"{kept}:acts") == "0\n1\n"
    done = go_back("--discard-changes")
    assert done.code == 0, done.err
    assert acts(repository) == ["0", "1", "2"]
    assert (repository.project / "readme").read_text() == "text\n"
    assert (repository.project / "notes").exists()


def test_with_continue_the_agent_goes_on_with_the_user_s_changes(repository: Bench) -> None:
    cut_off(repository)
    change(repository, "add")
    assert go_back().code == 4
    done = sdqctl("resume", "s", "--continue", "--on-interrupted", "continue")
    assert done.code == 0, done.err
    assert acts(repository) == ["0", "1", "2"]
    assert (repository.project / "mine").exists()


@pytest.mark.each(2)
@pytest.mark.parametrize("flags", [(), ("--discard-changes",)])
def test_the_workflow_stays_as_the_user_edited_it(
    flags: tuple[str, ...], repository: Bench
) -> None:
    """Also where going back is killed: its file lies in the tree."""
    cut_off(repository)
    edited = WORKFLOW + "PROMPT fourth\n"
    repository.write("work.conv", edited)
    assert go_back(*flags, SDQCTL_CRASH_AT="workspace.restored:1").code in KILLED
    done = go_back(*flags)
    assert done.code == 0, done.err
    assert (repository.project / "work.conv").read_text() == edited
    assert acts(repository) == ["0", "1", "2"]
    assert prompts() == ["first", "second", "third", "fourth"]


def test_it_goes_back_once_the_user_s_changes_are_moved_away(repository: Bench) -> None:
    cut_off(repository)
    change(repository, "add")
    assert go_back().code == 4
    (repository.project / "mine").unlink()
    assert go_back().code == 0
    assert acts(repository) == ["0", "1", "2"]


def test_what_was_changed_between_two_steps_stays(repository: Bench) -> None:
    cut_off(repository, point="ledger.finish.after:1")
    (repository.project / "mine").write_text("mine\n")
    killed = go_back(SDQCTL_CRASH_AT="mock.tool.after:1")
    assert killed.code in KILLED
    assert go_back().code == 0
    assert (repository.project / "mine").read_text() == "mine\n"
    assert acts(repository) == ["0", "1", "2"]


def test_a_prompt_without_effects_keeps_what_the_user_changed(repository: Bench) -> None:
    cut_off(repository, point="mock.stored:2")
    change(repository, "edit")
    done = go_back()
    assert done.code == 0, done.err
    assert (repository.project / "readme").read_text() == "mine\n"


def test_a_failed_prompt_goes_back_before_it_is_tried_again(repository: Bench) -> None:
    text = WORKFLOW.replace("[[tool: shell echo 2", "[[fail: server x1]] [[tool: shell echo 2")
    path = repository.write("work.conv", text)
    done = sdqctl("run", path, "--on-interrupted", "rewind")
    assert done.code == 0, done.err
    assert acts(repository) == ["0", "1", "2"]
    assert prompts() == ["first", "second", "third"]


def test_a_prompt_whose_runtime_died_goes_back_within_the_same_command(repository: Bench) -> None:
    text = "SESSION-NAME s\nMODE implement\nPROMPT go [[tool: shell echo 1 >> acts]] [[die: x1]]\n"
    done = sdqctl("run", repository.write("work.conv", text), "--on-interrupted", "rewind")
    assert done.code == 0, done.err
    assert "sent again with its files taken back" in done.err
    assert acts(repository) == ["1"]


def test_a_command_that_was_cut_off_is_taken_back_and_run_again(repository: Bench) -> None:
    go = repository.home / "go"
    command = f"echo line >> acts; while [ ! -e {go} ]; do sleep 0.05; done; echo end >> acts"
    head = "SESSION-NAME s\nADAPTER mock\nALLOW-SHELL true\n"
    path = repository.write("work.conv", f"{head}RUN {command}\nPROMPT then\n")
    process = Running("run", path, stderr=subprocess.DEVNULL)
    wait_for(lambda: has_line(repository.project / "acts"))
    process.kill()
    process.wait()
    wait_until_gone(repository.home, b"acts")
    go.touch()
    stopped = sdqctl("resume", "s", "--continue")
    assert stopped.code == 4
    assert "with `rewind` what it changed is taken back first" in stopped.err
    done = go_back()
    assert done.code == 0, done.err
    assert acts(repository) == ["line", "end"]


def test_without_snapshots_it_is_refused_with_the_way_on(repository: Bench) -> None:
    path = repository.write("work.conv", WORKFLOW)
    done = sdqctl("run", path, "--no-snapshots", SDQCTL_CRASH_AT="mock.tool.after:2")
    assert done.code in KILLED
    refused = go_back("--snapshots")
    assert refused.code == 4
    assert "no snapshot was taken before it" in refused.err
    assert "--on-interrupted continue" in refused.err
    assert acts(repository) == ["0", "1"]

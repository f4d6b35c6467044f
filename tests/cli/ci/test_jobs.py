"""A job goes on where an earlier one ended, on a runner that has the state's file alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyrage
import pytest

from tests.cli.ci.runners import Pipeline
from tests.waiting import wait_for
from tests.workspace.gits import git

HEAD = "SESSION-NAME s\nMODE implement\nALLOW-SHELL true\n"
STORY = (
    HEAD
    + """\
PROMPT a [[reply: A]]
RUN echo two >> a.txt
ASK ok "Shall it go on?" choice(yes|no)
RUN test -e {go} && echo three >> a.txt
PROMPT b [[reply: B]]
"""
)


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    (tmp_path / "ci").mkdir()
    return tmp_path / "ci"


def test_a_job_waits_at_a_question_is_answered_fails_and_goes_on_at_the_failed_step(
    folder: Path,
) -> None:
    go = folder / "go"
    ci = Pipeline(folder, STORY.format(go=go))
    asked = ci.job("--summary", folder / "summary.md", code=8)
    assert "give the same command with `--answer VALUE`" in asked.err
    assert "> Shall it go on?" in (folder / "summary.md").read_text()
    ci.job("--answer", "maybe", code=2)
    failed = ci.job("--answer", "yes", code=4)
    assert "2 done, 3 to run" in failed.err
    assert "the same command goes on where it was" in failed.err
    assert (ci.clone / "a.txt").read_text() == "one\ntwo\n"
    go.touch()
    done = ci.job("--answer", "yes")
    assert "3 done, 2 to run" in done.err
    assert "waits at no ASK" in done.err
    assert (ci.clone / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]


@pytest.mark.thorough
def test_a_pause_is_passed_by_the_next_attempt_alone(folder: Path) -> None:
    ci = Pipeline(
        folder, HEAD + "PROMPT a [[reply: A]]\nPAUSE Look at it.\nPROMPT b [[reply: B]]\n"
    )
    assert "paused: Look at it." in ci.job(code=8).err
    ci.job()
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]


def test_a_signal_ends_a_job_whose_step_is_done_anew_in_files_that_never_saw_its_half(
    folder: Path,
) -> None:
    go = folder / "go"
    ci = Pipeline(
        folder,
        HEAD
        + "RUN echo two >> a.txt\n"
        + f"RUN echo half >> a.txt; until test -e {go}; do sleep 0.1; done\n",
    )
    running = ci.start("--summary", folder / "summary.md")
    try:
        wait_for(lambda: "half" in (ci.clone / "a.txt").read_text())
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 130
    finally:
        running.kill()
    assert "interrupted" in (folder / "summary.md").read_text()
    go.touch()
    ci.job()
    assert (ci.clone / "a.txt").read_text() == "one\ntwo\nhalf\n"


@pytest.mark.thorough
def test_a_workflow_that_was_edited_meanwhile_does_what_is_new(folder: Path) -> None:
    text = HEAD + "PROMPT a [[reply: A]]\nRUN exit 1\n"
    ci = Pipeline(folder, text)
    ci.job(code=4)
    ci.edit(text.replace("exit 1", "true") + "PROMPT b [[reply: B]]\n")
    assert "1 done, 1 changed, 1 to run" in ci.job().err
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]


@pytest.mark.thorough
def test_files_of_another_commit_are_not_mixed_with_those_of_the_run(folder: Path) -> None:
    text = HEAD + "RUN echo two >> a.txt\nRUN exit 1\n"
    ci = Pipeline(folder, text)
    ci.job(code=4)
    ci.edit(text.replace("exit 1", "true"))
    assert "another one is checked out" in ci.job(code=4).err
    assert (ci.clone / "a.txt").read_text() == "one\n"


def test_changes_that_the_run_has_not_are_never_lost(folder: Path) -> None:
    ci = Pipeline(folder, HEAD + "RUN echo two >> a.txt\nRUN exit 1\n")
    ci.job(code=4)
    environment = ci.runner()
    (ci.clone / "a.txt").write_text("mine\n")
    done = ci.again(*ci.line())
    assert done.code == 4
    assert "has changes that the run's files have not: a.txt" in done.err
    assert (ci.clone / "a.txt").read_text() == "mine\n"
    assert environment["HOME"]


@pytest.mark.thorough
def test_what_a_job_writes_is_no_part_of_the_run_s_files(folder: Path) -> None:
    ci = Pipeline(folder, HEAD + "RUN echo two >> a.txt\nPROMPT a [[reply: A]]\nRUN exit 1\n")
    own = ("--state", "kept/own.state", "--junit", "own.xml", "--summary", "own.md")
    ci.job(*own, code=4)
    kept = (ci.clone / "kept" / "own.state").read_bytes()
    ci.runner()
    (ci.clone / "kept").mkdir()
    for name, data in (("kept/own.state", kept), ("own.xml", b"old")):
        (ci.clone / name).write_bytes(data)
    assert "2 done" in ci.again(*ci.line(*own)).err
    assert (ci.clone / "a.txt").read_text() == "one\ntwo\n"
    assert (ci.clone / "own.xml").read_text().startswith("<?xml")
    snapshots = git(ci.clone, "for-each-ref", "--format=%(refname)", "refs/sdqctl").split()
    assert not any("own." in git(ci.clone, "ls-tree", "-r", ref) for ref in snapshots)


def test_a_state_belongs_to_one_session(folder: Path) -> None:
    ci = Pipeline(folder, HEAD + "PROMPT a [[reply: A]]\n")
    ci.job()
    refused = ci.job("--session-name", "other", code=2)
    assert "is the state of session 's', not of 'other'" in refused.err
    ci.state.write_bytes(b"no bundle")
    assert "is no bundle" in ci.job(code=2).err


@pytest.mark.thorough
def test_a_run_that_is_done_is_followed_by_another_in_the_same_talk(folder: Path) -> None:
    ci = Pipeline(folder, HEAD + "RUN echo two >> a.txt\nPROMPT a [[reply: A]]\n")
    ci.job()
    ci.edit(HEAD + "RUN echo two >> a.txt\nPROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n")
    ci.job()
    assert [turn["response"] for turn in ci.turns()] == ["A", "A", "B"]
    assert (ci.clone / "a.txt").read_text() == "one\ntwo\n"


def test_a_job_without_snapshots_has_its_talk_carried(folder: Path) -> None:
    ci = Pipeline(folder, HEAD + 'PROMPT a [[reply: A]]\nASK ok "On?"\nPROMPT b [[reply: B]]\n')
    ci.job("--no-snapshots", code=8)
    ci.job("--no-snapshots", "--answer", "yes")
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]


@pytest.mark.thorough
def test_an_older_copy_makes_way_and_a_newer_one_stays(folder: Path) -> None:
    ci = Pipeline(folder, HEAD + 'PROMPT a [[reply: A]]\nASK ok "On?"\nPROMPT b [[reply: B]]\n')
    ci.job(code=8)
    first, old = ci.attempts, ci.state.read_bytes()
    ci.job("--answer", "yes")
    ci.attempts = first
    done = ci.again(*ci.line())
    assert "is older, and is in the trash" in done.err
    assert done.code == 8
    ci.state.write_bytes(old)
    again = ci.again(*ci.line())
    assert "trash" not in again.err
    assert [turn["response"] for turn in ci.turns()] == ["A", "B", "A"]


@pytest.mark.thorough
def test_new_conversations_of_a_run_go_on_too(folder: Path) -> None:
    go = folder / "go"
    ci = Pipeline(
        folder,
        HEAD
        + "PROMPT a [[reply: A]]\nNEW-CONVERSATION\nPROMPT b [[reply: B]]\n"
        + f"RUN test -e {go}\nPROMPT c [[reply: C]]\n",
    )
    ci.job(code=4)
    assert "3 done, 2 to run" in ci.job(code=4).err
    go.touch()
    assert "3 done, 2 to run" in ci.job().err
    assert [turn["response"] for turn in ci.turns("s (2)")] == ["B", "C"]


def test_what_changed_no_file_goes_on_with_another_commit(folder: Path) -> None:
    text = HEAD + "PROMPT a [[reply: A]]\nRUN exit 1\n"
    ci = Pipeline(folder, text)
    ci.job(code=4)
    (ci.origin / "a.txt").write_text("other\n")
    git(ci.origin, "commit", "-qam", "other")
    assert "1 done" in ci.job(code=4).err
    assert (ci.clone / "a.txt").read_text() == "other\n"


@pytest.mark.each(2)
@pytest.mark.parametrize("own", [True, False])
def test_an_encrypted_state_is_read_with_its_key_alone(folder: Path, own: bool) -> None:
    key, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    ci = Pipeline(folder, HEAD + 'PROMPT a [[reply: A]]\nASK ok "On?"\nPROMPT b [[reply: B]]\n')
    flags = () if own else ("--state-recipient", str(key.to_public()))
    keys = {"SDQCTL_STATE_KEY": str(key)} if own else {}
    ci.job(*flags, code=8, **keys)
    assert ci.state.read_bytes().startswith(b"age-encryption.org/v1")
    assert b"PROMPT" not in pyrage.decrypt(ci.state.read_bytes(), [key])[:10]
    assert "is encrypted" in ci.job(code=2).err
    assert "cannot be decrypted" in ci.job(code=2, SDQCTL_STATE_KEY=str(other)).err
    ci.job("--answer", "yes", SDQCTL_STATE_KEY=f"# created by age-keygen\n{key}\n")
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]


def test_the_key_of_the_state_is_kept_from_commands(folder: Path) -> None:
    key = str(pyrage.x25519.Identity.generate())
    ci = Pipeline(folder, HEAD + "RUN env > env.txt\n")
    ci.job(SDQCTL_STATE_KEY=key)
    assert "SDQCTL_STATE_KEY" not in (ci.clone / "env.txt").read_text()


def test_a_folder_that_is_no_repository_has_its_talk_carried_alone(
    folder: Path, tmp_path: Path
) -> None:
    state, plain = folder / "state", tmp_path / "plain"
    plain.mkdir()
    ci = Pipeline(folder, "")
    (plain / "work.conv").write_text(
        HEAD + 'PROMPT a [[reply: A]]\nASK ok "On?"\nPROMPT b [[reply: B]]\n'
    )
    for code, more in ((8, ()), (0, ("--answer", "yes"))):
        ci.runner()
        done = ci.again("run", plain / "work.conv", "--cwd", plain, "--state", state, *more)
        assert done.code == code, done.err
    assert "its files are not published" in done.err
    assert [turn["response"] for turn in ci.turns()] == ["A", "B"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["-p", "x", "--state", "s"], "need a workflow in a file"),
        (["work.conv", "--answer", "yes"], "belongs to --state"),
        (["work.conv", "--state", "s", "--comment", "x"], "--comment belongs to --answer"),
        (["work.conv", "--ci", "--detach"], "leave out --detach"),
        (["work.conv", "--ci", "--ask"], "leave out --ask"),
        (["work.conv", "--junit", "x", "--dry-run"], "--dry-run runs nothing"),
        (["work.conv", "work.conv", "--state", "s"], "are for one workflow"),
        (["work.conv", "--state", "s", "--state-recipient", "age1x"], "--state-recipient"),
        (["work.conv", "--state", "s", "--no-resume-if-exists"], "leave out --no-resume"),
        (["work.conv", "--state", "s", "--store"], "give one"),
        (["work.conv", "--state", "s", "--worktree="], "leave out --worktree"),
        (["work.conv", "--state", "work.conv/s"], "File exists"),
    ],
)
def test_flags_that_make_no_sense_are_refused(folder: Path, flags: list[str], said: str) -> None:
    ci = Pipeline(folder, "PROMPT x\n")
    ci.runner()
    done = ci.again("run", *flags)
    assert (done.code, said in done.err) == (2, True), done.err
    assert git(ci.clone, "status", "--short") == ""
    assert not os.path.exists("s")

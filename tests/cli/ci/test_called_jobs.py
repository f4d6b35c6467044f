"""A job whose workflow calls others has the files that belong to the place where it goes on."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.ci.runners import Pipeline
from tests.workspace.gits import git

HEAD = "SESSION-NAME s\nMODE implement\n"


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    (tmp_path / "ci").mkdir()
    return tmp_path / "ci"


def prompt(name: str) -> str:
    return f"PROMPT {name} [[tool: write f-{name} x]] [[reply: {name}]]\n"


def pipeline(folder: Path, part: str, *steps: str) -> Pipeline:
    return Pipeline(folder, HEAD + "".join(steps), {"part.conv": part})


def files(ci: Pipeline) -> list[str]:
    return sorted(path.name.removeprefix("f-") for path in ci.clone.glob("f-*"))


def test_steps_after_a_call_in_the_same_talk_keep_their_files(folder: Path) -> None:
    steps = (prompt("one"), "CALL part.conv AS got IN same\n", prompt("three"), prompt("four"))
    ci = pipeline(folder, prompt("part"), *steps)
    kill(ci, "ledger.finish.before:5")
    assert "the files are as they were after the last step" in ci.job().err
    assert files(ci) == ["four", "one", "part", "three"]


CALLING = (prompt("one"), "CALL part.conv AS got\n", prompt("three"))
PART = prompt("p1") + prompt("p2")


def kill(ci: Pipeline, point: str) -> None:
    killed = ci.job(code=None, SDQCTL_CRASH_AT=point)
    assert killed.code in (-signal.SIGKILL, 137), killed.err


def clean(ci: Pipeline) -> None:
    git(ci.clone, "clean", "-fdq")
    git(ci.clone, "checkout", "-q", ".")
    assert files(ci) == []


@pytest.mark.each(2)
@pytest.mark.parametrize("point", ["ledger.finish.after:2", "ledger.finish.after:3"])
def test_a_called_run_that_goes_on_finds_its_files_in_a_clean_checkout(
    folder: Path, point: str
) -> None:
    ci = pipeline(folder, PART, *CALLING)
    kill(ci, point)
    clean(ci)
    done = ci.again(*ci.line())
    assert done.code == 0, done.err
    assert files(ci) == ["one", "p1", "p2", "three"]


def test_a_called_run_that_goes_on_finds_its_files_where_they_are(folder: Path) -> None:
    ci = pipeline(folder, PART, *CALLING)
    kill(ci, "ledger.finish.after:2")
    done = ci.again(*ci.line())
    assert done.code == 0, done.err
    assert "part: 1 done, 1 to run" in done.err
    assert files(ci) == ["one", "p1", "p2", "three"]


@pytest.mark.thorough
def test_a_called_run_that_was_restored_goes_on_in_its_files(folder: Path) -> None:
    ci = pipeline(folder, PART, *CALLING)
    kill(ci, "ledger.finish.after:2")
    assert ci.again("sessions", "delete", "s", "--force").code == 0
    assert ci.again("sessions", "restore", "s").code == 0
    clean(ci)
    done = ci.again(*ci.line())
    assert done.code == 0, done.err
    assert "part: 1 done, 1 to run" in done.err
    assert files(ci) == ["one", "p1", "p2", "three"]


def test_a_called_run_that_is_not_known_begins_anew_in_the_files_before_it(folder: Path) -> None:
    ci = pipeline(folder, PART, *CALLING)
    kill(ci, "ledger.finish.after:2")
    done = ci.job()
    assert "part: new session s/part" in done.err
    assert "create f-p1" in done.err
    assert files(ci) == ["one", "p1", "p2", "three"]


@pytest.mark.thorough
def test_a_called_run_in_a_tree_of_its_own_is_no_part_of_the_checkout(folder: Path) -> None:
    ci = pipeline(folder, f"WORKTREE\n{PART}", *CALLING)
    kill(ci, "ledger.finish.after:2")
    clean(ci)
    done = ci.again(*ci.line())
    assert done.code == 0, done.err
    assert "part: 1 done, 1 to run" in done.err
    assert files(ci) == ["one", "three"]


@pytest.mark.thorough
def test_calls_side_by_side_have_all_their_files_on_the_next_runner(folder: Path) -> None:
    waits = "[[tool: shell until {{ i.after }}; do sleep 0.02; done]]"
    part = f"INPUT i json\nPROMPT go {waits} [[tool: write f-{{{{ i.name }}}} x]] [[reply: A]]\n"
    second_is_done = "git for-each-ref refs/sdqctl/mock/s/ | grep -q %5B2%5D"
    items = [{"name": "a", "after": second_is_done}, {"name": "b", "after": "true"}]
    head = f"INPUT items json = {json.dumps(items)}\n"
    together = "FOR i IN items PARALLEL 2\n  CALL part.conv WITH i={{ i }}\nEND\n"
    ci = pipeline(folder, part, head, together, prompt("two"))
    kill(ci, "ledger.finish.before:6")
    ci.job()
    assert files(ci) == ["a", "b", "two"]

"""What is said is true: of what a deletion does, of a completed run, of a renamed session."""

from __future__ import annotations

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import sdqctl
from tests.terminal import CTRL_D, ENTER, Terminal

ONE = "SESSION-NAME s\nPROMPT hello\n"
PAUSED = "SESSION-NAME s\nPROMPT one\nPAUSE\nPROMPT two\n"


def ask(bench: Bench, *flags: str) -> str:
    with Terminal(["sessions", "delete", "s", *flags]) as terminal:
        terminal.wait_for("[y/N]")
        question = terminal.text.splitlines()[-1]
        terminal.type(f"n{ENTER}")
        assert terminal.wait_for_end() == 130
    return question


def test_the_question_before_a_deletion_says_where_it_goes(bench: Bench) -> None:
    bench.run(ONE)
    assert ask(bench) == "Move 1 session to the trash? [y/N]"
    assert ask(bench, "--purge") == "Delete 1 session for good? [y/N]"


def test_a_name_that_is_taken_has_the_ways_on_that_there_are(bench: Bench) -> None:
    bench.run(PAUSED)
    path = bench.project / "work.conv"
    unfinished = sdqctl("run", path)
    assert unfinished.code == 7
    assert "`sdqctl resume s --continue` does its remaining steps" in unfinished.err
    assert sdqctl("resume", "s", "--continue").code == 0
    completed = sdqctl("run", path)
    assert completed.code == 7
    assert completed.err.splitlines()[-1] == (
        "hint: its run is completed; `--resume-if-exists` runs this workflow in that conversation, "
        "another `--session-name` in a new one"
    )
    again = sdqctl("run", path, "--resume-if-exists")
    assert again.code == 8, "it was begun again, and pauses again"


def test_in_a_conversation_names_and_numbers_are_those_that_hold(bench: Bench) -> None:
    bench.run(PAUSED)
    with Terminal(["resume", "s"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"/show x{ENTER}")
        terminal.wait_for("error: /show x: there are turns 1 to 1")
        terminal.type(f"/model nosuch{ENTER}")
        terminal.wait_for("error: /model nosuch: there is no such model")
        terminal.type(f"/model mock-1{ENTER}")
        terminal.wait_for("model: mock-1\n")
        terminal.type(f"/rename other{ENTER}")
        terminal.wait_for("renamed s to other")
        terminal.type(f"/continue{ENTER}")
        terminal.wait_for("going on in session other (mock)")
        terminal.wait_for("run completed: 3 steps in")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


@pytest.mark.thorough
@pytest.mark.runtime
def test_a_model_of_a_provider_that_lists_none_is_said_to_be_unchecked(
    bench: Bench, model: LoopbackModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDQCTL_ADAPTER", "copilot")
    assert sdqctl("run", bench.write("w.conv", ONE)).code == 0
    with Terminal(["resume", "s"], columns=120) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"/model nosuch{ENTER}")
        terminal.wait_for("model: nosuch (not checked: its provider does not list its models)")
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


def test_no_tokens_have_no_bar(bench: Bench) -> None:
    bench.run("SESSION-NAME idle\nPROMPT go [[fail: request]]\n")
    bench.run(ONE)
    with Terminal(["sessions", "usage", "--by", "session"], columns=100) as terminal:
        assert terminal.wait_for_end() == 0
        rows = {line.split()[0]: line for line in terminal.text.splitlines()[1:]}
    assert "█" not in rows["idle"]
    assert "█" * 20 in rows["s"]

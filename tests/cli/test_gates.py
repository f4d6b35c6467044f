"""PAUSE and CONSULT are passed by a command that was given after their message was shown; an ASK is
answered by what is typed after its question was.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import Done, sdqctl
from tests.terminal import CTRL_D, ENTER, Terminal

KILLED = (-signal.SIGKILL, 137)
UNSEEN = [
    "ledger.begin.before:2",
    "ledger.begin.after:2",
    "ledger.run.before:4",
    "ledger.run.after:4",
    "ledger.shown.before:1",
]
"""After the prompt before the gate: before and after the gate is recorded, and the run is."""


def write(bench: Bench, gate: str) -> Path:
    text = f"SESSION-NAME job\nPROMPT a [[reply: A]]\n{gate}\nPROMPT b [[reply: B]]\n"
    return bench.write("work.conv", text)


@pytest.mark.each(2)
@pytest.mark.parametrize("point", UNSEEN)
@pytest.mark.parametrize("gate", ["PAUSE look first", "CONSULT look first"])
def test_a_gate_that_nobody_saw_is_shown_before_it_is_passed(
    gate: str, point: str, bench: Bench
) -> None:
    path = write(bench, gate)
    killed = sdqctl("run", path, SDQCTL_CRASH_AT=point)
    assert killed.code in KILLED
    first = sdqctl("resume", "job", "--continue")
    assert (first.code, first.out) == (8, ""), first.err
    assert "look first" in first.err
    second = sdqctl("resume", "job", "--continue")
    assert (second.code, second.out) == (0, "B\n"), second.err


@pytest.mark.parametrize("flag", ["text", "json", "jsonl"])
def test_a_gate_that_was_shown_is_passed_at_once(flag: str, bench: Bench) -> None:
    assert sdqctl("run", write(bench, "PAUSE"), "--format", flag).code == 8
    assert sdqctl("resume", "job", "--continue").code == 0


def test_a_kill_after_it_was_recorded_as_shown_does_not_show_it_again(bench: Bench) -> None:
    killed = sdqctl("run", write(bench, "PAUSE"), SDQCTL_CRASH_AT="ledger.shown.after:1")
    assert killed.code in KILLED
    assert "paused: paused" in killed.err
    assert sdqctl("resume", "job", "--continue").code == 0


def test_a_batch_that_shows_its_pauses_lets_them_be_passed(bench: Bench) -> None:
    for name in ("x", "y"):
        bench.write(f"in/{name}.txt", name)
    path = bench.write("work.conv", "PROMPT a [[reply: A]]\nPAUSE look\nPROMPT b [[reply: B]]\n")

    def apply(**environment: str) -> Done:
        return sdqctl("apply", path, "--components", "in/*.txt", **environment)

    assert apply(SDQCTL_CRASH_AT="ledger.shown.before:1").code in KILLED
    again = apply()
    assert again.code == 8
    assert "look" in again.err
    done = apply()
    assert done.code == 0, done.err


def test_the_time_of_a_consultation_begins_when_it_is_shown(bench: Bench) -> None:
    path = write(bench, "CONSULT-TIMEOUT 1h\nCONSULT look first")
    assert sdqctl("run", path, SDQCTL_CRASH_AT="ledger.begin.after:2").code in KILLED
    with sqlite3.connect(bench.home / "sdqctl" / "ledger.db") as connection:
        connection.execute("UPDATE attempts SET started_at = '2020-01-01T00:00:00+00:00'")
    connection.close()
    assert sdqctl("resume", "job", "--continue").code == 8
    assert sdqctl("resume", "job", "--continue").code == 0


def test_after_a_consult_the_talk_is_hinted_at_first(bench: Bench) -> None:
    told = sdqctl("run", write(bench, "CONSULT which way"))
    assert told.code == 8
    talk, on = told.err.index("`sdqctl resume job`"), told.err.index("`sdqctl resume job --con")
    assert talk < on
    as_json = sdqctl("resume", "job", "--continue", "--from", "2", "--format", "json")
    assert "`sdqctl resume job`" in as_json.err


def test_a_consult_in_a_later_conversation_is_talked_about_there(bench: Bench) -> None:
    told = sdqctl("run", write(bench, "NEW-CONVERSATION\nCONSULT which way"))
    assert told.code == 8
    assert "`sdqctl resume 'job (2)'`, then" in told.err
    assert "`sdqctl resume job --continue`" in told.err


@pytest.mark.thorough
@pytest.mark.runtime
def test_a_gate_that_a_conversation_s_recap_showed_is_passed_in_it(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "work.conv"
    path.write_text("SESSION-NAME job\nPROMPT a [[reply: A]]\nPAUSE look\nPROMPT b [[reply: B]]\n")
    killed = sdqctl("run", path, SDQCTL_CRASH_AT="ledger.shown.before:1")
    assert killed.code == -signal.SIGKILL
    with Terminal(["resume", "job"]) as terminal:
        terminal.wait_for("paused: look")
        terminal.wait_for_prompt()
        terminal.type(f"/continue{ENTER}")
        terminal.wait_for("run completed: 3 steps in")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


@pytest.mark.parametrize("called", [False, True])
def test_an_answer_is_typed_after_the_question_and_stands_on_the_screen(
    called: bool, bench: Bench
) -> None:
    ask = 'ASK sure "Is it right?" choice(yes|no)\n'
    bench.write("part.conv", f"{ask}RETURN sure\n")
    text = (
        "SESSION-NAME job\nALLOW-SHELL true\nRUN until [ -e go ]; do sleep 0.05; done\n"
        f"{'CALL part.conv AS sure' if called else ask}\nPAUSE look\nPROMPT said {{{{sure}}}}\n"
    )
    path = bench.write("work.conv", text)
    with Terminal(["run", path]) as terminal:
        terminal.wait_for("run: until")
        terminal.type(f"no{ENTER}n")
        (bench.project / "go").touch()
        terminal.wait_for("Is it right? [yes|no]")
        terminal.type("yes")
        terminal.wait_for("[yes|no]\nyes")
        time.sleep(0.6)  # the live row would come back
        assert terminal.text.endswith("[yes|no]\nyes")
        terminal.type(ENTER)
        assert terminal.wait_for_end() == 8
        at = "part: [1/2]" if called else "[2/4]"
        assert f"[yes|no]\nyes\n{at} answered: yes\n" in terminal.text
    passed = sdqctl("resume", "job", "--continue")
    assert passed.code == 0, passed.err
    assert "[3/4] passed\n" in passed.err

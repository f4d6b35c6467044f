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


TOLD = """\
SESSION-NAME job
INPUT n json
FOR x IN n
  ASK v "Go on with {{x}} in cycle {{CYCLE_NUMBER}}?" choice(yes|no)
  CHECKPOINT done-{{x}}
END
PAUSE "look at {{ n | length }}"
CONSULT "why {{ v_all | first }}"
STOP "all of {{ n | join(', ') }}"
"""


def test_what_humans_are_told_has_its_values_wherever_it_is_shown(bench: Bench) -> None:
    question = "Go on with a in cycle 1?"
    done = sdqctl("run", bench.write("work.conv", TOLD), "--set", 'n=["a"]', "--format", "json")
    assert (done.code, done.json["run"]["gate"]["question"]) == (8, question), done.err
    assert question in done.err
    assert (
        sdqctl("sessions", "show", "job", "--format", "json").json["runs"][0]["gate"]
        == (done.json["run"]["gate"])
    )
    assert question in sdqctl("sessions", "show", "job").out
    assert question in sdqctl("resume", "job", "--answer", "maybe").err
    paused = sdqctl("resume", "job", "--answer", "yes")
    assert "paused: look at 1" in paused.err
    assert "consult: why yes" in sdqctl("resume", "job", "--continue").err
    last = sdqctl("resume", "job", "--continue", "--format", "json")
    assert last.code == 0, last.err
    titles = [step["title"] for step in last.json["run"]["steps"]]
    assert titles == ["x in n", question, "done-a", "look at 1", "why yes", "all of a"]


def test_a_value_in_a_question_drives_no_terminal_and_brings_in_nothing(bench: Bench) -> None:
    text = 'INPUT x\nASK v "Take {{x}}?"\n'
    done = sdqctl("run", bench.write("work.conv", text), "--set", "x=\x1b[31m{{DATE}}")
    assert done.code == 8, done.err
    assert "\x1b" not in done.err
    assert "[31m{{DATE}}?" in done.err


def test_a_secret_in_a_question_is_not_kept(bench: Bench) -> None:
    key = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
    text = f'PROMPT [[reply: {key}]]\nCAPTURE x\nASK v "Take {{{{x}}}}?"\n'
    path = bench.write("work.conv", f"SESSION-NAME job\n{text}")
    assert sdqctl("run", path).code == 8
    gate = sdqctl("sessions", "show", "job", "--format", "json").json["runs"][0]["gate"]
    assert gate["question"] == "Take [redacted]?"


def test_a_question_without_a_value_fails_its_step(bench: Bench) -> None:
    text = 'INPUT x json\nASK v "Take {{x.gone}}?"\n'
    path = bench.write("work.conv", text)
    done = sdqctl("run", path, "--set", "x={}", "--format", "json")
    assert done.code == 4
    assert [step["status"] for step in done.json["run"]["steps"]] == ["failed"]

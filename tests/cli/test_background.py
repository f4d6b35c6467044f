"""Runs in the background: begun, watched, interrupted and answered from other processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from sdqctl.model.events import MessageAdded, RunStarted, TextDelta
from sdqctl.store.redact import Redactor
from sdqctl.store.run_logs import RunLog
from tests.bench import Bench
from tests.command import Running, sdqctl
from tests.terminal import Terminal
from tests.waiting import wait_for

STALLS = "SESSION-NAME job\nPROMPT a [[reply: A]]\nPROMPT b [[stall]]\n"


@pytest.fixture
def begun(bench: Bench) -> Iterator[Callable[..., int]]:
    """Begins a run in the background and returns its process, which a test leaves behind never."""
    pids = []

    def begin(text: str, *flags: str) -> int:
        path = bench.write("work.conv", text)
        done = sdqctl("run", path, "--detach", "--format", "json", *flags)
        assert done.code == 0, done.err
        pid: int = done.json["pid"]
        pids.append(pid)
        return pid

    yield begin
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def status(name: str = "job") -> str:
    listed = sdqctl("sessions", "list", "--format", "json").json
    return next(str(one["status"]) for one in listed if one["name"] == name)


def waits(name: str = "job") -> bool:
    waiting = sdqctl("sessions", "answer", name, "--format", "json").json
    return waiting["permission"] is not None


def is_stalled(bench: Bench) -> bool:
    journal = bench.home / "sdqctl" / "mock" / "job" / "events.jsonl"
    return journal.exists() and "[[stall]]" in journal.read_text()


@contextmanager
def running(*arguments: str | Path) -> Iterator[Running]:
    """A command at work, which a test leaves behind never."""
    with Running(*arguments, stdout=PIPE, stderr=PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_in_the_background_is_watched_as_if_it_were_run(
    bench: Bench, begun: Callable[..., int]
) -> None:
    text = "PROMPT a [[reply: A]]\nRUN echo hello\nPROMPT b [[delay: 1]] [[reply: B]]\n"
    pid = begun(text, "--session-name", "job")
    assert os.getsid(pid) == pid, "a session of its own, which no terminal ends"
    assert status() == "running"
    watched = sdqctl("watch", "job")
    here = sdqctl("run", bench.project / "work.conv", "--session-name", "here")
    assert (watched.code, watched.out) == (here.code, here.out) == (0, "A\n\nB\n")
    assert "[2/3] done" in watched.err
    again = sdqctl("watch", "job", "--format", "json").json
    assert (again["status"], again["output"]) == ("completed", "A\n\nB")
    lines = sdqctl("watch", "job", "--format", "jsonl").out.splitlines()
    assert [json.loads(lines[0])["type"], json.loads(lines[-1])["type"]] == [
        "session.opened",
        "result",
    ]


def test_the_log_is_for_its_owner_alone_and_goes_with_its_session(
    bench: Bench, begun: Callable[..., int]
) -> None:
    begun("SESSION-NAME job\nPROMPT a\n")
    assert sdqctl("watch", "job").code == 0
    logs = bench.home / "sdqctl" / "logs"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (logs, *logs.iterdir())]
    assert modes == [0o700, 0o600]
    assert sdqctl("sessions", "delete", "job", "--force").code == 0
    assert not [*logs.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "nowhere.conv"], 2),
        (["run", "wrong.conv"], 3),
        (["run", "taken.conv"], 7),
        (["run", "taken.conv", "taken.conv"], 2),
        (["run", "taken.conv", "--dry-run"], 2),
        (["resume", "taken"], 2),
        (["resume", "nobody", "--continue"], 7),
    ],
)
def test_what_cannot_be_done_fails_in_the_foreground(
    arguments: list[str], code: int, bench: Bench
) -> None:
    bench.write("wrong.conv", "PROMT a\n")
    bench.write("taken.conv", "SESSION-NAME taken\nPROMPT a\n")
    if "taken" in arguments[-1] or "taken.conv" in arguments:
        assert sdqctl("run", "taken.conv").code == 0
    done = sdqctl(*arguments, "--detach")
    assert (done.code, done.out) == (code, ""), done.err
    assert done.err.startswith("error: ")


def test_a_run_that_fails_in_the_background_is_watched_with_its_error_and_exit_code(
    bench: Bench, begun: Callable[..., int]
) -> None:
    begun("SESSION-NAME job\nPROMPT a [[fail: request]]\n")
    watched = sdqctl("watch", "job")
    assert watched.code == 4
    assert "go on with `sdqctl resume job --continue`" in watched.err


def test_a_gate_stops_the_run_and_its_answer_goes_on_with_it(
    bench: Bench, begun: Callable[..., int]
) -> None:
    text = 'SESSION-NAME job\nASK verdict "Publish?" choice(yes|no)\nPROMPT said {{verdict}}\n'
    begun(text)
    assert sdqctl("watch", "job").code == 8
    assert sdqctl("sessions", "answer", "job").out == "Publish? [yes|no]\n"
    assert sdqctl("sessions", "answer", "job", "maybe").code == 2
    assert sdqctl("sessions", "answer", "job", "yes").code == 0
    assert "said yes" in sdqctl("watch", "job").out


def test_a_pause_counts_as_shown_once_it_was_watched(
    bench: Bench, begun: Callable[..., int]
) -> None:
    begun("SESSION-NAME job\nPAUSE look\nPROMPT b [[reply: B]]\n")
    wait_for(lambda: status() == "paused")
    assert "paused: look" in sdqctl("watch", "job").err
    done = sdqctl("resume", "job", "--continue")
    assert (done.code, done.out) == (0, "B\n"), done.err


def test_a_pause_takes_no_answer(bench: Bench, begun: Callable[..., int]) -> None:
    begun("SESSION-NAME job\nPAUSE look\nPROMPT b\n")
    wait_for(lambda: status() == "paused")
    done = sdqctl("sessions", "answer", "job", "yes")
    assert (done.code, "waits at no ASK" in done.err) == (2, True), done.err
    assert "--answer" not in done.err
    assert status() == "paused"


def test_a_killed_run_is_told_and_goes_on_where_it_was(
    bench: Bench, begun: Callable[..., int]
) -> None:
    pid = begun(STALLS)
    wait_for(lambda: is_stalled(bench))
    with running("watch", "job") as watcher:
        os.kill(pid, signal.SIGKILL)
        out, err = watcher.communicate(timeout=120)
    assert (watcher.returncode, out) == (130, "A\n")
    assert "go on with `sdqctl resume job --continue`" in err
    bench.write("work.conv", STALLS.replace("[[stall]]", "[[reply: B]]"))
    done = sdqctl("resume", "job", "--continue")
    assert (done.code, done.out) == (0, "B\n"), done.err


def test_a_watcher_that_is_killed_or_interrupted_leaves_the_run_alone(
    bench: Bench, begun: Callable[..., int]
) -> None:
    begun(STALLS)
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        with running("watch", "job") as watcher:
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == "A\n"
            watcher.send_signal(number)
            assert watcher.wait(120) == code
    assert status() == "running"


def test_an_interrupt_ends_the_run_as_ctrl_c_would(bench: Bench, begun: Callable[..., int]) -> None:
    begun(STALLS)
    wait_for(lambda: is_stalled(bench))
    asked = sdqctl("sessions", "interrupt", "job")
    assert asked.code == 0
    assert "job is interrupted: 1 of 2 steps are done" in asked.err
    assert sdqctl("watch", "job").code == 130
    again = sdqctl("sessions", "interrupt", "job")
    assert again.code == 2
    assert "no run is under way" in again.err


def test_a_session_in_use_is_told_with_what_ends_its_run(
    bench: Bench, begun: Callable[..., int]
) -> None:
    begun(STALLS)
    path = bench.project / "work.conv"
    busy, taken = sdqctl("resume", "job", "--continue"), sdqctl("run", path, "--detach")
    assert (busy.code, taken.code) == (75, 7)
    assert "--continue" not in taken.err
    for done in (busy, taken):
        assert "`sdqctl sessions interrupt job`" in done.err
    assert sdqctl("sessions", "interrupt", "job").code == 0


def test_a_run_in_the_foreground_is_interrupted_from_elsewhere(bench: Bench) -> None:
    path = bench.write("work.conv", STALLS)
    with running("run", path) as here:
        wait_for(lambda: is_stalled(bench))
        assert sdqctl("sessions", "interrupt", "job").code == 0
        _, err = here.communicate(timeout=120)
    assert here.returncode == 130
    assert "interrupted: 1 of 2 steps are done" in err


def test_an_interrupt_that_a_killed_run_never_heard_does_not_end_the_next_one(
    bench: Bench, begun: Callable[..., int]
) -> None:
    pid = begun(STALLS)
    wait_for(lambda: is_stalled(bench))
    os.kill(pid, signal.SIGKILL)
    with sqlite3.connect(bench.home / "sdqctl" / "ledger.db") as connection:
        connection.execute("INSERT INTO interrupts SELECT id, '2026' FROM runs")
    connection.close()
    bench.write("work.conv", STALLS.replace("[[stall]]", "[[delay: 0.3]] [[reply: B]]"))
    assert sdqctl("resume", "job", "--continue").code == 0


@pytest.mark.parametrize("end", ["before", "after"])
def test_an_interrupt_that_was_killed_counts_once_it_is_recorded(
    end: str, bench: Bench, begun: Callable[..., int]
) -> None:
    begun(STALLS)
    wait_for(lambda: is_stalled(bench))
    killed = sdqctl("sessions", "interrupt", "job", SDQCTL_CRASH_AT=f"ledger.interrupt.{end}:1")
    assert killed.code == -signal.SIGKILL
    if end == "before":
        assert status() == "running"
        assert sdqctl("sessions", "interrupt", "job").code == 0
    assert sdqctl("watch", "job").code == 130


@pytest.mark.each(2)
@pytest.mark.parametrize("end", ["before", "after"])
def test_a_resume_that_is_killed_as_it_forgets_what_was_left_is_given_again(
    end: str, bench: Bench, begun: Callable[..., int]
) -> None:
    pid = begun(ASKS, "--ask")
    wait_for(waits)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: status() == "interrupted")
    on = ("resume", "job", "--continue", "--allow-all-tools")
    assert sdqctl(*on, SDQCTL_CRASH_AT=f"ledger.messages.{end}:1").code == -signal.SIGKILL
    assert sdqctl(*on).code == 0
    assert (bench.project / "made").exists()


ASKS = "SESSION-NAME job\nPROMPT a [[tool: shell touch made]] [[reply: A]]\n"


@pytest.mark.each(3)
@pytest.mark.parametrize(("said", "made"), [("y", True), ("n", False), ("e not that", False)])
def test_a_permission_question_is_answered_from_elsewhere(
    said: str, made: bool, bench: Bench, begun: Callable[..., int]
) -> None:
    begun(ASKS, "--ask")
    wait_for(waits)
    assert "touch made" in sdqctl("sessions", "answer", "job").out
    assert sdqctl("sessions", "answer", "job", "perhaps").code == 2
    assert sdqctl("sessions", "answer", "job", said).code == 0
    assert sdqctl("watch", "job").code == 0
    assert (bench.project / "made").exists() is made
    assert not waits()


def test_of_two_answers_at_once_one_counts(bench: Bench, begun: Callable[..., int]) -> None:
    begun(ASKS, "--ask")
    wait_for(waits)
    both = [
        Running("sessions", "answer", "job", said, stdout=PIPE, stderr=PIPE) for said in ("y", "n")
    ]
    codes = []
    for one in both:
        one.communicate(timeout=120)
        codes.append(one.returncode)
    assert sorted(codes) == [0, 2]
    assert sdqctl("watch", "job").code == 0
    assert (bench.project / "made").exists() is (codes[0] == 0)


@pytest.mark.each(2)
@pytest.mark.parametrize("end", ["before", "after"])
def test_a_run_that_is_killed_as_it_asks_asks_again(
    end: str, bench: Bench, begun: Callable[..., int]
) -> None:
    path = bench.write("work.conv", ASKS)
    asking = ("run", path, "--detach", "--ask")
    sdqctl(*asking, SDQCTL_CRASH_AT=f"ledger.question.{end}:1")
    wait_for(lambda: status() == "interrupted")
    assert not waits()
    assert sdqctl("resume", "job", "--continue", "--detach", "--ask").code == 0
    wait_for(waits)
    assert sdqctl("sessions", "answer", "job", "y").code == 0
    assert sdqctl("watch", "job").code == 0
    assert (bench.project / "made").exists()


@pytest.mark.each(2)
@pytest.mark.parametrize("end", ["before", "after"])
def test_an_answer_that_was_killed_counts_once_it_is_recorded(
    end: str, bench: Bench, begun: Callable[..., int]
) -> None:
    begun(ASKS, "--ask")
    wait_for(waits)
    killed = sdqctl("sessions", "answer", "job", "n", SDQCTL_CRASH_AT=f"ledger.reply.{end}:1")
    assert killed.code == -signal.SIGKILL
    if end == "before":
        assert waits()
        assert sdqctl("sessions", "answer", "job", "y").code == 0
    assert sdqctl("watch", "job").code == 0
    assert (bench.project / "made").exists() is (end == "before")


@pytest.mark.thorough
def test_the_question_of_a_killed_run_waits_no_more(
    bench: Bench, begun: Callable[..., int]
) -> None:
    pid = begun(ASKS, "--ask")
    wait_for(waits)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: status() == "interrupted")
    assert not waits()
    assert sdqctl("sessions", "answer", "job", "y").code == 2
    done = sdqctl("resume", "job", "--continue", "--allow-all-tools")
    assert done.code == 0, done.err
    assert sdqctl("sessions", "show", "job", "--format", "json").json["runs"][0]["steps"]


def test_a_terminal_that_asks_takes_the_answer_of_another_process(bench: Bench) -> None:
    path = bench.write("work.conv", 'SESSION-NAME job\nASK v "Sure?"\nPROMPT said {{v}}\n')
    with Terminal(["run", path]) as terminal:
        terminal.wait_for("Sure?\nSure?")
        assert sdqctl("sessions", "answer", "job", "quite").code == 0
        terminal.wait_for("answered by another process: quite")
        terminal.wait_for("said quite")
        assert terminal.wait_for_end() == 0
    bench.write("work.conv", ASKS.replace("job", "two"))
    with Terminal(["run", path, "--ask"]) as terminal:
        terminal.wait_for("[e]lse what?")
        assert sdqctl("sessions", "answer", "two", "y").code == 0
        terminal.wait_for("run completed")
        assert terminal.wait_for_end() == 0
    assert (bench.project / "made").exists()


def test_ctrl_c_before_the_run_is_under_way_ends_it_there(bench: Bench) -> None:
    path = bench.write("work.conv", "SESSION-NAME job\nPROMPT a [[stall]]\n")
    with running("run", path) as first:
        wait_for(lambda: is_stalled(bench))
        resume = ["resume", "job", "--continue", "--detach", "--wait", "10m"]
        with Terminal(resume) as waiting:
            waiting.wait_until(lambda: bool([*(bench.home / "sdqctl" / "logs").glob(".begun-*")]))
            waiting.type("\x03")
            assert waiting.wait_for_end() == 130
        first.send_signal(signal.SIGINT)
        assert first.wait(120) == 130
    assert not [*(bench.home / "sdqctl" / "logs").iterdir()]


INTERRUPTED = """
import os, signal, sys
from sdqctl.store import run_logs

def interrupted(pid):
    os.kill(pid, signal.SIGTERM)

run_logs.start_mark = interrupted
from sdqctl.__main__ import main
sys.exit(main())
"""


@pytest.mark.thorough
def test_an_interrupt_while_the_log_is_made_leaves_none(bench: Bench) -> None:
    path = bench.write("work.conv", STALLS)
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "run", path, "--detach"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert not [*(bench.home / "sdqctl" / "logs").iterdir()]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_streamed_secret_never_reaches_the_log(size: int, tmp_path: Path) -> None:
    secret = "correct-horse-battery-staple"
    key = "-----BEGIN PRIVATE KEY-----\n" + "Ab1+" * 30 + "\n-----END PRIVATE KEY-----\n"
    text = f"first line\nthe value is {secret} and more\n" + "word " * 100 + f"{secret}\n{key}end\n"
    log = RunLog(tmp_path, Redactor({"API_TOKEN": secret}).data)
    log(RunStarted(run_id="r", workflow=None, steps_total=1, steps_done=0))
    for start in range(0, len(text), size):
        log(TextDelta(turn_id="t", text=text[start : start + size]))
    streamed = (tmp_path / "logs" / "r.jsonl").read_text()
    assert ("first line" in streamed) is (size < len(text)), "but for a key in the same piece"
    log(MessageAdded(turn_id="t", text=text, final=True))
    written = (tmp_path / "logs" / "r.jsonl").read_text()
    assert secret[:12] not in written
    assert "Ab1+" not in written
    assert "[redacted] and more" in written

"""`--wait`: the target is chosen under its lock, other clients are waited for, signals end it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import Running, sdqctl
from tests.conftest import RUNTIME
from tests.waiting import wait_for

JOB = SessionRef("mock", "job")
TWO = "ADAPTER mock\nSESSION-NAME job\nPROMPT a [[reply: A]]\nPAUSE\nPROMPT b [[reply: B]]\n"


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command beside the test; it is ended with the block."""
    with Running(
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def announced(process: subprocess.Popen[str]) -> str:
    """The first line on stderr: the target is chosen then, and nothing is locked yet."""
    assert process.stderr is not None
    return process.stderr.readline()


def has_open(process: subprocess.Popen[str], ending: str) -> bool:
    """Whether the process has a file of this ending open."""
    folder = f"/proc/{process.pid}/fd"
    for name in os.listdir(folder):
        with suppress(OSError):  # one that was closed meanwhile
            if os.readlink(f"{folder}/{name}").endswith(ending):
                return True
    return False


def test_of_ten_that_wait_for_one_name_one_makes_it_and_nine_go_on_in_it(bench: Bench) -> None:
    path = bench.write("work.conv", "SESSION-NAME job\nPROMPT ask [[delay: 0.1]] [[reply: A]]\n")
    flags = ["run", str(path), "--resume-if-exists", "--wait", "60s"]
    processes = [Running(*flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(10)]
    told = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for _, code in told] == [0] * 10, told
    assert sum("new session job" in err for (_, err), _ in told) == 1
    assert sum("going on in session job" in err for (_, err), _ in told) == 9
    shown = sdqctl("sessions", "show", "job", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["A"] * 10
    assert [run["status"] for run in shown["runs"]] == ["completed"] * 10


def test_of_three_that_wait_without_resume_if_exists_one_runs_and_two_are_refused(
    bench: Bench,
) -> None:
    bench.run("SESSION-NAME before\nPROMPT hello\n")  # a lock without a ledger is a lost ledger
    path = bench.write("work.conv", "SESSION-NAME job\nPROMPT ask [[reply: A]]\n")
    held = SessionLock.acquire(bench.home / "sdqctl", JOB)
    with ExitStack() as stack:
        waiting = [stack.enter_context(started("run", str(path), "--wait", "60s")) for _ in "123"]
        for process in waiting:
            announced(process)
        held.close()
        told = [(process.communicate(timeout=120)[1], process.returncode) for process in waiting]
    assert sorted(code for _, code in told) == [0, 7, 7], told
    assert all("exists already" in err for err, code in told if code == 7)
    assert len(sdqctl("sessions", "show", "job", "--format", "json").json["turns"]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_wait_at_once(number: signal.Signals, bench: Bench) -> None:
    path = bench.write("work.conv", TWO)
    assert sdqctl("run", path).code == 8
    with (
        SessionLock.acquire(bench.home / "sdqctl", JOB),
        started("resume", "job", "--continue", "--wait", "10m") as waiting,
    ):
        wait_for(lambda: has_open(waiting, ".lock"))
        waiting.send_signal(number)
        _, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 130, err
    assert "nothing was begun" in err
    assert "sdqctl resume job --continue" in err
    run = sdqctl("sessions", "show", "job", "--format", "json").json["runs"][-1]
    assert (run["status"], run["steps_done"]) == ("paused", 1)


@pytest.mark.parametrize("files_first", [True, False])
def test_a_run_that_is_deleted_while_it_is_waited_for_is_not_begun_anew(
    files_first: bool, bench: Bench
) -> None:
    """As `sessions delete` does it: the runtime's files, then the rows, under the lock."""
    path = bench.write("work.conv", TWO)
    assert sdqctl("run", path).code == 8
    home = bench.home / "sdqctl"
    held = SessionLock.acquire(home, JOB)
    if files_first:
        shutil.rmtree(home / "mock" / "job")
    with started("resume", "job", "--continue", "--wait", "60s") as waiting:
        announced(waiting)
        shutil.rmtree(home / "mock" / "job", ignore_errors=True)
        with Ledger.open(home) as ledger:
            ledger.forget_session(JOB)
        held.close()
        out, err = waiting.communicate(timeout=120)
    assert (waiting.returncode, out) == (7, ""), err
    assert "was deleted meanwhile" in err
    assert sdqctl("sessions", "list", "--format", "json").json == []


@pytest.mark.thorough
@pytest.mark.runtime
def test_a_native_client_is_waited_for(home: Path, project: Path, model: LoopbackModel) -> None:
    path = project / "work.conv"
    path.write_text("SESSION-NAME shared\nPROMPT one [[reply: 1]]\n")
    assert sdqctl("run", path).code == 0
    native = subprocess.Popen(
        [str(RUNTIME), "-p", "two [[sleep: 4]] [[reply: 2]]", "--resume=shared"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(model.requests) == 2)
    busy = sdqctl("resume", "shared", "--prompt", "three [[reply: 3]]")
    assert busy.code == 75, busy.err
    assert "copilot" in busy.err
    done = sdqctl("resume", "shared", "--prompt", "three [[reply: 3]]", "--wait", "60s")
    assert (done.code, done.out) == (0, "3\n"), done.err
    assert native.wait(timeout=120) == 0
    assert [text.split()[0] for text in model.user_messages()] == ["one", "two", "three"]

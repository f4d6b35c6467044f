"""Many processes on one name, and repeated deaths, on the real runtime."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Running, sdqctl
from tests.sampling import some

pytestmark = pytest.mark.runtime


def wait_for_the_end_of_runtimes(home: Path) -> None:
    """Until no process is left that was started with this home: none writes there any more."""
    mark = f"COPILOT_HOME={home / 'copilot'}".encode()
    deadline = time.monotonic() + 120
    while any(mark in environment(pid) for pid in os.listdir("/proc") if pid.isdecimal()):
        assert time.monotonic() < deadline, "a runtime is left"
        time.sleep(0.05)


def environment(pid: str) -> bytes:
    """What a process was started with; nothing when it has ended, or is another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def test_of_eight_processes_on_one_name_one_runs_and_seven_are_refused(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "work.conv"
    path.write_text("SESSION-NAME one\nPROMPT hello [[sleep: 4]] [[reply: hi]]\n")
    processes = [
        Running(
            "run",
            str(path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(8)
    ]
    told = [(process.communicate(timeout=120), process.returncode) for process in processes]
    codes = Counter(code for _, code in told)
    assert codes[0] == 1, told
    assert codes[75] + codes[7] == 7, told
    winner = next(str(p.pid) for p in processes if p.returncode == 0)
    for (out, err), code in told:
        assert out == ("hi\n" if code == 0 else "")
        assert code != 75 or f"process {winner}" in err
    assert model.user_messages() == ["hello [[sleep: 4]] [[reply: hi]]"]
    assert len(model.requests) == 1
    shown = sdqctl("sessions", "show", "one", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["hi"]
    assert [run["status"] for run in shown["runs"]] == ["completed"]


@pytest.mark.thorough
def test_a_second_death_of_the_runtime_in_one_step_is_exit_5(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "work.conv"
    path.write_text("SESSION-NAME twice\nPROMPT wait [[hang: x2]] [[reply: done]]\n")
    process = Running("run", str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for death in (1, 2):
        deadline = time.monotonic() + 120
        while len(model.requests) < death:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 5, err
    assert "sdqctl resume twice --continue" in err
    done = sdqctl("resume", "twice", "--continue")
    assert (done.code, done.out) == (0, "done\n"), done.err
    assert len(model.user_messages()) == 1


KILL_AT_BEGIN = """\
import os, pathlib, signal, sys
from sdqctl.cli.app import run
from sdqctl.store.ledger import Ledger
begin_step, kind = Ledger.begin_step, sys.argv.pop(1)
def begin_and_kill(self, *arguments, **values):
    if values["kind"] != kind:
        return begin_step(self, *arguments, **values)
    Ledger.begin_step = begin_step
    for child in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    return begin_step(self, *arguments, **values)
Ledger.begin_step = begin_and_kill
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_a_runtime_that_dies_before_it_stored_the_new_session_is_survived(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "work.conv").write_text("SESSION-NAME new\nPROMPT hello [[reply: hi]]\n")
    done = subprocess.run(
        [sys.executable, "-c", KILL_AT_BEGIN, "prompt", "run", "work.conv"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    assert "ended unexpectedly" in done.stderr
    assert [e["name"] for e in sdqctl("sessions", "list", "--format", "json").json] == ["new"]
    assert model.user_messages() == ["hello [[reply: hi]]"]


@pytest.mark.thorough
@pytest.mark.parametrize("way_on", some(1, [["--continue"], ["--prompt", "hello [[reply: hi]]"]]))
def test_a_session_killed_before_its_first_prompt_was_stored_goes_on(
    way_on: list[str], home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "work.conv"
    path.write_text("SESSION-NAME early\nPROMPT hello [[reply: hi]]\n")
    killed = sdqctl("run", path, SDQCTL_CRASH_AT="ledger.begin.after:1")
    assert killed.code == -signal.SIGKILL
    folder = home / "copilot" / "session-state" / "early"
    wait_for_the_end_of_runtimes(home)
    assert folder.is_dir()
    (folder / "events.jsonl").unlink(missing_ok=True)
    done = sdqctl("resume", "early", *way_on)
    assert (done.code, done.out) == (0, "hi\n"), done.err
    assert len(model.requests) == 1
    assert [entry["id"] for entry in sdqctl("sessions", "list", "--format", "json").json] == [
        "early"
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("forgotten", some(1, ["everything", "journal"]))
@pytest.mark.parametrize("point", some(1, ["ledger.session.after:2", "ledger.run.after:3"]))
def test_a_later_conversation_that_the_runtime_forgot_is_begun_again(
    point: str, forgotten: str, home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "work.conv"
    path.write_text(
        "SESSION-NAME s\nPROMPT one [[reply: 1]]\nNEW-CONVERSATION\nPROMPT two [[reply: 2]]\n"
    )
    assert sdqctl("run", path, SDQCTL_CRASH_AT=point).code == -signal.SIGKILL
    (folder,) = (home / "copilot" / "session-state").glob("s-2*")
    wait_for_the_end_of_runtimes(home)
    (folder / "events.jsonl").unlink(missing_ok=True)
    if forgotten == "everything":
        shutil.rmtree(folder)
    done = sdqctl("resume", "s", "--continue")
    assert (done.code, done.out) == (0, "2\n"), done.err
    assert model.user_messages() == ["two [[reply: 2]]"]
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert {entry["name"]: entry["turns"] for entry in listed} == {"s": 1, "s (2)": 1}


@pytest.mark.thorough
def test_a_journal_that_was_deleted_is_never_replaced_by_an_empty_conversation(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "work.conv"
    path.write_text("SESSION-NAME kept\nPROMPT hello [[reply: hi]]\nPAUSE\n")
    assert sdqctl("run", path).code == 8
    (home / "copilot" / "session-state" / "kept" / "events.jsonl").unlink()
    done = sdqctl("resume", "kept", "--prompt", "still there?")
    assert done.code == 4, done.err
    assert len(model.requests) == 1
    shown = sdqctl("sessions", "show", "kept", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["hi"]


@pytest.mark.thorough
def test_a_runtime_that_dies_while_the_conversation_changes_is_survived(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "work.conv").write_text(
        "SESSION-NAME new\nPROMPT one [[reply: 1]]\nNEW-CONVERSATION\nPROMPT two [[reply: 2]]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", KILL_AT_BEGIN, "new-conversation", "run", "work.conv"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n\n2\n"), done.stderr
    assert "a new one is started" in done.stderr
    assert model.user_messages() == ["two [[reply: 2]]"]
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert {entry["name"]: entry["turns"] for entry in listed} == {"new": 1, "new (2)": 1}

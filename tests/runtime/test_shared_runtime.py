"""Runs that share a runtime: its death, and signals, end none that has nothing to do with them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Running, sdqctl
from tests.sampling import each, some
from tests.waiting import wait_for

pytestmark = pytest.mark.runtime


def lines(name: str) -> int:
    return Path(name).read_text().count("\n") if Path(name).exists() else 0


def runtimes(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"copilot" in _command(child)]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


@pytest.mark.thorough
@pytest.mark.parametrize("after", some(1, ["COMPACT", "PROMPT two [[reply: B]]"]))
def test_components_in_a_command_go_on_when_the_runtime_of_all_dies(
    after: str, home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "names.txt").write_text("a\nb\nc\n")
    (project / "each.conv").write_text(
        "PROMPT {{COMPONENT_NAME}} one [[reply: A]]\n"
        'RUN sh -c "echo >> begun; until test -e go; do sleep 0.05; done; echo >> ended"\n'
        f"{after}\nPROMPT three [[reply: C]]\n"
    )
    process = Running(
        "apply",
        "each.conv",
        "--components",
        "@names.txt",
        "--parallel",
        "3",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: lines("begun") == 3, "all are in their command")
    (runtime,) = runtimes(process.pid)
    os.kill(runtime, signal.SIGKILL)
    Path("go").touch()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert [line.split("\t")[1] for line in out.splitlines()] == ["completed"] * 3
    assert (lines("begun"), lines("ended")) == (3, 3)
    listed = sdqctl("sessions", "list", "--format", "json").json
    for entry in listed:
        shown = sdqctl("sessions", "show", entry["name"], "--format", "json").json
        answers = [turn["response"] for turn in shown["turns"]]
        assert answers == (["A", "C"] if after == "COMPACT" else ["A", "B", "C"])


def begun(home: Path, kind: str) -> bool:
    """Whether a step of a kind was begun, read while the run goes."""
    file = home / "sdqctl" / "ledger.db"
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            query = "SELECT count(*) FROM attempts WHERE kind = ?"
            found = connection.execute(query, (kind,)).fetchone()[0]
        except sqlite3.OperationalError:  # it is being made
            return False
    return bool(found)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("delay", "number"),
    each(10, itertools.product([0.0, 0.05, 0.02, 0.1, 0.2], [signal.SIGINT, signal.SIGTERM])),
)
def test_a_signal_in_a_new_conversation_interrupts_the_run(
    delay: float, number: signal.Signals, home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text(
        "SESSION-NAME s\nPROMPT one [[reply: A]]\nNEW-CONVERSATION\nPROMPT two [[hang]]\n"
    )
    process = Running("run", "w.conv", stderr=subprocess.PIPE)
    wait_for(lambda: begun(home, "new-conversation"), "the new conversation is begun")
    time.sleep(delay)  # where in it the signal comes is the case
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    status = json.loads(sdqctl("sessions", "list", "--format", "json").out)
    assert {entry["status"] for entry in status} <= {"interrupted", "idle"}


def test_a_signal_while_a_dead_runtime_is_replaced_interrupts_the_run(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text("SESSION-NAME s\nPROMPT one [[sleep: 60]]\n")
    process = Running("run", "w.conv", stderr=subprocess.PIPE)
    wait_for(lambda: model.requests, "the model was asked")
    (runtime,) = runtimes(process.pid)
    os.kill(runtime, signal.SIGKILL)
    wait_for(
        lambda: (found := runtimes(process.pid)) and found != [runtime], "a new one is started"
    )
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err

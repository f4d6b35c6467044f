"""What the commands of a queue refuse: before they ask it, and for the state that a run is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import sdqctl
from tests.fleet.machines import PATIENCE, Fleet
from tests.fleet.test_queue import enqueued, states, working
from tests.waiting import wait_for

NOWHERE = "postgresql://x@127.0.0.1:1/x"
PUT_IN = ("run", "-p", "x", "--session-name", "q", "-a", "mock", "--queue")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*PUT_IN, "--tag", ""), "no tag"),
        ((*PUT_IN, "--tag", "a,b"), "no tag"),
        ((*PUT_IN, "--tag", "a\udcff"), "no tag"),
        ((*PUT_IN, "--tag", "t" * 41), "longer than 40 bytes"),
        ((*PUT_IN, "--priority", "99999999999"), "--priority"),
        (("queue", "limit", "--max-running", "99999999999999"), "--max-running"),
        (("queue", "limit", "--tag", "", "--off"), "no tag"),
        (("queue", "pause", "--tag", ""), "no tag"),
        (("worker", "--tags", " , "), "names no tag"),
        (("worker", "--tags", ""), "names no tag"),
    ],
)
def test_what_no_queue_takes_is_refused(
    arguments: tuple[str, ...], said: str, home: Path, tmp_path: Path
) -> None:
    done = sdqctl(*arguments, cwd=tmp_path, SDQCTL_STORE=NOWHERE)
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.parametrize("arguments", [("queue", "list"), ("worker",), PUT_IN])
def test_who_names_no_queue_is_told_how(
    arguments: tuple[str, ...], home: Path, tmp_path: Path
) -> None:
    done = sdqctl(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert "give --queue postgresql://" in done.err


def test_an_address_that_is_no_utf_8_is_refused(home: Path, tmp_path: Path) -> None:
    done = sdqctl("queue", "list", cwd=tmp_path, SDQCTL_STORE=f"{NOWHERE}\udcff")
    assert (done.code, "no UTF-8" in done.err) == (2, True), done.err


def test_a_run_that_cannot_be_changed_is_named(fleet: Fleet) -> None:
    one = fleet.machine("a")
    for name in ("q", "r"):
        one.run("run", "-p", "say [[reply: A]]", "--session-name", name, "--queue")
    fleet.asked("UPDATE sdqctl.runs SET status = 'completed' WHERE name = 'q'")
    done = one.run("queue", "cancel", "q", "r", code=2)
    assert "1 run cancelled" in done.err
    assert "not cancelled: q is completed" in done.err
    assert states(fleet) == [("q", "completed"), ("r", "cancelled")]
    assert "q is completed" in one.run("queue", "retry", "q", code=2).err
    assert "0 runs put in again" in one.run("queue", "retry", "--all").err
    one.run("queue", "retry", "r")
    assert states(fleet) == [("q", "completed"), ("r", "queued")]


def test_a_worker_says_that_its_run_was_cancelled(fleet: Fleet) -> None:
    one = enqueued(fleet)
    running = working(fleet, "b")
    try:
        one.run("queue", "cancel", "q")
        wait_for(lambda: "q: cancelled" in fleet.machine("b").said())
    finally:
        running.terminate()
        assert running.wait(PATIENCE) == 0
    assert "given back" not in fleet.machine("b").said()
    assert states(fleet) == [("q", "cancelled")]

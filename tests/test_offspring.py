"""The processes of a mark: found wherever they went, ended whole, and no other is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path

import pytest

from sdqctl import offspring as module
from sdqctl.offspring import MARK, end_offspring, moment, new_mark, offspring
from tests.waiting import has_line, wait_for


@contextmanager
def started(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, killed at the end."""
    process = subprocess.Popen(
        command, env={"PATH": os.environ["PATH"], **environment}, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pids(mark: str, **having: str) -> set[int]:
    return {process.pid for process in offspring(mark, having=having)}


def line_in(path: Path) -> str:
    """What a process has written into a file, once its line is whole."""
    wait_for(lambda: has_line(path), str(path))
    return path.read_text()


def test_only_a_mark_that_matches_exactly_counts() -> None:
    mark = new_mark()
    sleep = ("sleep", "60")
    with (
        started(*sleep, **{MARK: mark}) as own,
        started(*sleep, **{MARK: f"{mark}0"}) as longer,
        started(*sleep, **{MARK: new_mark()}) as other,
        started(*sleep, **{f"X{MARK}": mark}) as prefixed,
        started(*sleep) as bare,
    ):
        assert pids(mark) == {own.pid}
        assert end_offspring(mark) == 1
        assert own.wait(timeout=120) == -15
        assert [p.poll() for p in (longer, other, prefixed, bare)] == [None] * 4


def test_a_process_is_found_while_its_program_takes_the_place_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = new_mark()
    for _ in range(100):
        with started("sleep", "60", **{MARK: mark}) as begun, monkeypatch.context() as patch:
            patch.setattr(os, "listdir", lambda _, pid=begun.pid: [str(pid)])  # at once
            assert pids(mark) == {begun.pid}


def test_a_process_is_found_that_another_started_in_passing_before_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = new_mark()
    ended = "4194305"  # above the highest id of Linux (proc(5), pid_max)
    with started("sleep", "60", **{MARK: mark}) as late:
        looks = chain([[ended]], repeat([str(late.pid)]))
        monkeypatch.setattr(os, "listdir", lambda _: next(looks))
        assert pids(mark) == {late.pid}


def test_a_child_without_the_environment_belongs_to_the_one_that_started_it() -> None:
    mark = new_mark()
    with started("sh", "-c", "env -i sleep 60; true", **{MARK: mark}) as shell:
        deadline = time.monotonic() + 120
        while len(pids(mark)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert shell.pid in pids(mark)
        assert end_offspring(mark) == 2
        assert pids(mark) == set()


def test_a_shell_that_is_ended_does_not_come_to_its_next_command(tmp_path: Path) -> None:
    mark = new_mark()
    lines = "echo > ready; " + "sleep 60; echo >> effect; " * 5
    for _ in range(10):
        (tmp_path / "ready").unlink(missing_ok=True)
        with started("sh", "-c", f"cd {tmp_path}; {lines}", **{MARK: mark}):
            line_in(tmp_path / "ready")
            assert end_offspring(mark) >= 1
    assert not (tmp_path / "effect").exists()


def test_what_does_not_end_when_it_is_asked_is_killed(tmp_path: Path) -> None:
    mark = new_mark()
    text = "trap '' TERM; echo > ready; while :; do sleep 0.05; done"
    with started("sh", "-c", f"cd {tmp_path}; {text}", **{MARK: mark}) as stubborn:
        line_in(tmp_path / "ready")
        end_offspring(mark)
        assert stubborn.wait(timeout=120) == -9


def test_further_variables_and_the_time_of_the_start_narrow_the_choice() -> None:
    mark = new_mark()
    with started("sleep", "60", **{MARK: mark, "TALK": "a"}) as early:
        assert pids(mark, TALK="a") == {early.pid}
        deadline = time.monotonic() + 120
        while offspring(mark, since=moment() - 0.02):
            assert time.monotonic() < deadline
        now = moment()
        with (
            started("sleep", "60", **{MARK: mark, "TALK": "a"}) as late,
            started("sleep", "60", **{MARK: mark, "TALK": "b"}) as other,
        ):
            assert pids(mark, TALK="a") == {early.pid, late.pid}
            assert end_offspring(mark, having={"TALK": "a"}, since=now) == 1
            assert late.wait(timeout=120) == -15
            assert (early.poll(), other.poll()) == (None, None)


def test_nothing_to_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_wait", lambda *_: pytest.fail("it waits"))
    assert end_offspring(new_mark()) == 0


def test_ps_shows_the_same_processes_as_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        return
    mark = new_mark()
    with started("sh", "-c", "sleep 60; true", **{MARK: mark, "TALK": "a"}) as shell:
        found = pids(mark, TALK="a")
        assert shell.pid in found
        monkeypatch.setattr(module, "_processes", lambda word: module._from_ps())
        assert pids(mark, TALK="a") >= found

"""Several workflows in one session: each has a run of its own, and one with steps left is found."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from tests.bench import Bench
from tests.cli.mcp.test_mcp import runs_of
from tests.cli.test_background import waits
from tests.command import Done, sdqctl
from tests.waiting import wait_for

A = """\
SESSION-NAME s
MODE implement
PROMPT a1 [[reply: A1]]
PAUSE look
PROMPT a2 [[reply: A2]]
PAUSE again
PROMPT a3 [[reply: A3]]
"""
B = "SESSION-NAME s\nPROMPT b1 [[reply: B1]]\n"
OPEN = B + "PAUSE wait\nPROMPT b2 [[reply: B2]]\n"


@pytest.fixture
def both(bench: Bench) -> Bench:
    """A session in which a run of a.conv is paused, and one of b.conv was completed after it."""
    assert sdqctl("run", bench.write("a.conv", A)).code == 8
    assert sdqctl("run", bench.write("b.conv", B), "--resume-if-exists").code == 0
    return bench


def go_on(*arguments: str) -> Done:
    return sdqctl("resume", "s", "--continue", *arguments)


def prompts() -> list[str]:
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    return [turn["prompt"].split()[0] for turn in shown["turns"]]


@pytest.mark.each(2)
@pytest.mark.parametrize("file", [(), ("a.conv",)])
def test_a_run_with_steps_left_goes_on_after_another_workflow(
    file: tuple[str, ...], both: Bench
) -> None:
    for code, said in ((8, "A2\n"), (0, "A3\n")):
        done = go_on(*file)
        assert (done.code, done.out) == (code, said), done.err
    assert prompts() == ["a1", "b1", "a2", "a3"]
    nothing = go_on()
    assert (nothing.code, nothing.out) == (0, "")
    assert "1 done, 0 to run" in nothing.err, "of the newest run"


def test_all_commands_agree_about_what_has_steps_left(both: Bench) -> None:
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    for one in (listed, shown):
        assert (one["status"], one["run"]["workflow"]) == ("paused", "a")
    assert sdqctl("status", "--format", "json").json["sessions_by_status"] == {"paused": 1}
    taken = sdqctl("run", "a.conv")
    assert taken.code == 7
    assert "`sdqctl resume s --continue` does its remaining steps" in taken.err
    assert go_on().code == 8
    assert go_on().code == 0
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    assert (listed["status"], listed["run"]["workflow"]) == ("completed", "b")


def test_the_newest_of_two_runs_with_steps_left_goes_on_first(both: Bench) -> None:
    both.write("b.conv", OPEN)
    assert sdqctl("run", "b.conv", "--resume-if-exists").code == 8
    assert sdqctl("sessions", "list", "--format", "json").json[0]["run"]["workflow"] == "b"
    assert go_on().out == "B2\n"
    assert go_on().out == "A2\n"


def test_the_result_is_that_of_the_run_that_went_on(both: Bench) -> None:
    done = go_on("--format", "json")
    assert done.code == 8
    assert (done.json["status"], done.json["run"]["workflow"]) == ("paused", "a")
    assert "`sdqctl resume s --continue`" in done.err
    assert runs_of("*.conv").outcome("s")["message"] == "again"


def test_a_file_that_was_moved_goes_on_and_another_one_begins_anew(both: Bench) -> None:
    moved = (both.project / "a.conv").rename(both.project / "moved.conv")
    assert go_on(str(moved)).out == "A2\n"
    both.write("a.conv", A)
    both.write("new.conv", A.replace("a1", "n1"))
    assert go_on("new.conv").out == "A1\n"
    assert prompts() == ["a1", "b1", "a2", "n1"]


def test_a_run_in_the_background_is_watched_and_asks_whatever_run_is_newer(both: Bench) -> None:
    both.write("b.conv", OPEN)
    assert sdqctl("run", "b.conv", "--resume-if-exists", "--detach").code == 0
    assert sdqctl("watch", "s").code == 8
    both.write(
        "a.conv",
        A.replace("PROMPT a2", "PROMPT a2 [[tool: shell touch made]]").replace(
            "MODE implement\n", ""
        ),
    )
    begun = go_on("a.conv", "--detach", "--ask", "--format", "json")
    assert begun.code == 0, begun.err
    try:
        wait_for(lambda: waits("s"))
        assert sdqctl("sessions", "answer", "s", "y").code == 0
        watched = sdqctl("watch", "s")
        assert (watched.code, watched.out) == (8, "A2\n")
    finally:
        with suppress(ProcessLookupError):
            os.kill(begun.json["pid"], signal.SIGKILL)

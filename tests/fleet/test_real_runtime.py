"""A session of the real runtime goes on elsewhere from what was published after a step."""

from __future__ import annotations

import signal

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.fleet.machines import Fleet
from tests.waiting import wait_for

pytestmark = pytest.mark.runtime

STORY = """\
SESSION-NAME s
MODE implement
PROMPT step-1 [[tool: create {"path": "one.txt", "file_text": "1"}]] [[reply: one]]
PAUSE
PROMPT step-2 [[tool: create {"path": "two.txt", "file_text": "2"}]] [[reply: two]]
PROMPT step-3 [[reply: three]]
PROMPT step-4 [[reply: four]]
"""
ON = ("resume", "s", "--store", "--continue", "--mode", "implement")


@pytest.mark.thorough
def test_a_killed_run_goes_on_elsewhere_with_its_whole_talk(
    fleet: Fleet, model: LoopbackModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDQCTL_ADAPTER")
    one, two = fleet.machine("a"), fleet.machine("b")
    one.run("run", fleet.write(STORY), code=8)
    one.run("sessions", "push", "s")
    running = one.start(*ON)
    try:
        done = "SELECT count(*) FROM sdqctl.states WHERE view LIKE '%\"steps_done\":3%'"
        wait_for(lambda: fleet.asked(done) == [(1,)])
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    fleet.let_leases_end()
    two.run(*ON)
    assert two.answers() == ["one", "two", "three", "four"]
    texts = {path.name: path.read_text() for path in two.tree().glob("*.txt")}
    assert texts == {"a.txt": "one\n", "one.txt": "1", "two.txt": "2"}

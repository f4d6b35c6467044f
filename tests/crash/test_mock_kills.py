"""A kill at every commit point of a workflow on the mock, one after another."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings, get_archive
from sdqctl.model.followup import quoted_prompt
from sdqctl.model.session import Turn
from tests.command import Done, forked

pytestmark = pytest.mark.crash

WORKFLOW = """\
ADAPTER mock
MODE implement
SESSION-NAME victim
PROMPT first [[reply: one]]
PROMPT second [[reply: two]]
RUN sh -c "echo line >> lines.txt"
PROMPT third [[tool: write effects.txt effect]] [[reply: three]]
CHECKPOINT middle
PROMPT fourth [[reply: four]]
COMPACT
PROMPT fifth [[reply: five]]
PROMPT sixth [[reply: six]]
"""
ANSWERS = ["one", "two", "three", "four", "five", "six"]
POINTS = [
    "ledger.run.before",
    "ledger.run.after",
    "ledger.session.before",
    "ledger.session.after",
    "ledger.plan.before",
    "ledger.plan.after",
    "ledger.begin.before",
    "ledger.begin.after",
    "ledger.accept.before",
    "ledger.accept.after",
    "ledger.finish.before",
    "ledger.finish.after",
    "ledger.tool.before",
    "ledger.tool.after",
    "mock.accepted",
    "mock.stored",
    "mock.answered",
    "mock.tool.before",
    "mock.tool.after",
]


@pytest.fixture
def workflow(home: Path, project: Path) -> Path:
    path = project / "victim.conv"
    path.write_text(WORKFLOW)
    return path


def finish(first: Done, workflow: Path) -> int:
    """Resume until the workflow is done; returns how often that was needed."""
    assert first.code in (-signal.SIGKILL, 137)
    for tries in range(1, 5):
        done = forked("resume", "victim", "--continue", "--on-interrupted", "continue")
        if done.code == 7:  # killed before anything was recorded: there is nothing to resume
            done = forked("run", workflow)
        elif done.code == 4 and "cut off" in done.err:
            done = forked("resume", "victim", "--continue", "--on-interrupted", "resend")
        assert done.code == 0, done.err
        if "run completed" in done.err:
            return tries
    raise AssertionError("the workflow never came to its end")


def turns(home: Path) -> list[Turn]:
    settings = AdapterSettings(data_dir=home / "sdqctl", copilot_home=home / "copilot")
    return list(get_archive("mock", settings).turns("victim"))


def passings(point: str) -> Iterator[int]:
    """How often a run passes a point is not known here: until the kill does not come any more."""
    yield from range(1, 60)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_commit_point_loses_and_repeats_nothing(
    point: str, home: Path, project: Path, workflow: Path
) -> None:
    kills = 0
    for count in passings(point):
        first = forked("run", workflow, SDQCTL_CRASH_AT=f"{point}:{count}")
        if first.code == 0:
            break
        kills += 1
        finish(first, workflow)
        check(point, home, project)
        reset(home, project)
    assert kills > 0, f"{point} is never passed"


def check(point: str, home: Path, project: Path) -> None:
    shown = forked("sessions", "show", "victim", "--format", "json").json
    steps = shown["runs"][-1]["steps"]
    assert [step["position"] for step in steps] == list(range(1, 10))
    assert {step["status"] for step in steps} == {"done"}
    found = turns(home)
    own = [turn for turn in found if quoted_prompt(turn.prompt) is None]
    assert Counter(t.prompt.split()[0] for t in own if "$" not in t.prompt) <= Counter(
        ["first", "second", "fourth", "fifth", "sixth"]
    )
    assert len(own) == len(ANSWERS), [turn.prompt for turn in found]
    answers = [turn.response for turn in found if turn.finished and turn.response in ANSWERS]
    assert [a for a in ANSWERS if a in answers or a == "three"] == ANSWERS
    assert (project / "lines.txt").read_text() == "line\n"
    effects = project / "effects.txt"
    assert effects.exists() or point == "mock.tool.before"  # the scripted agent does not go back


def reset(home: Path, project: Path) -> None:
    assert forked("sessions", "delete", "victim", "--force").code == 0
    for name in ("lines.txt", "effects.txt"):
        (project / name).unlink(missing_ok=True)

"""What the live rows say, in as many columns as there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.adapters.journal import changed_lines
from sdqctl.cli.runs import progress as module
from sdqctl.cli.runs.progress import RunProgress
from sdqctl.cli.runs.rows import RunRows
from sdqctl.cli.runs.tools import ToolLines
from sdqctl.model.events import (
    Event,
    MessageAdded,
    ModelRetried,
    PermissionDecided,
    RunStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolFinished,
    ToolStarted,
    UsageReported,
)
from sdqctl.model.session import ToolCall, Usage
from sdqctl.text.terminal import display_width

FOLDER = Path("/home/me/shop")
CALL = ToolCall(id="1", name="bash", summary="pytest -q")


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name in ("sdqctl.cli.runs.progress", "sdqctl.cli.runs.rows", "sdqctl.cli.runs.tools"):
        monkeypatch.setattr(f"{name}.time", clock)
    return clock


def begun(kind: str = "prompt", *, total: int = 3, title: str = "Look") -> list[Event]:
    return [
        RunStarted(run_id="r", workflow=None, steps_total=total, steps_done=0),
        StepStarted(run_id="r", path="2", position=2, cycle=1, kind=kind, title=title, attempt=1),
    ]


def ended() -> StepFinished:
    return StepFinished(
        run_id="r", path="2", position=2, cycle=1, kind="prompt", title="", status="done"
    )


def say(progress: RunProgress, *events: Event) -> RunProgress:
    for event in events:
        progress.note(event)
    return progress


def test_it_says_what_happens_at_the_moment_and_for_how_long(clock: Clock) -> None:
    progress = RunProgress(FOLDER)
    assert progress.text(80) == "starting"
    say(progress, *begun())
    clock.now += 12
    assert progress.text(80) == "[2/3] waiting for the model 12s"
    say(progress, TextDelta(turn_id="t", text="I will lo"), TextDelta(turn_id="t", text="ok at"))
    assert progress.text(80) == "[2/3] writing, 4 words"
    say(progress, MessageAdded(turn_id="t", text="I will look at", final=False))
    say(progress, ToolStarted(turn_id="t", call=CALL))
    clock.now += 3
    assert progress.text(80) == "[2/3] bash pytest -q  3s · 15s in all"
    say(progress, ToolFinished(turn_id="t", call=CALL), ModelRetried(turn_id="t", reason="busy"))
    used = Usage(input_tokens=8000, output_tokens=300, cached_tokens=1000)
    say(progress, UsageReported(turn_id="t", usage=used))
    assert progress.text(100).endswith(
        "tried again 1 time · 15s in all · 8.3k tokens · context 9.0k"
    )
    assert say(progress, ended()).text(80) == ""


def test_the_only_step_needs_no_number_and_a_command_its_own_words(clock: Clock) -> None:
    progress = say(RunProgress(FOLDER), *begun("run", total=1, title="make test"))
    clock.now += 61
    assert progress.text(80) == "make test  1m1s"


@pytest.mark.parametrize("width", [8, 20, 49, 79])
def test_a_row_is_never_wider_than_it_may_be(width: int, clock: Clock) -> None:
    call = ToolCall(id="1", name="view", summary=f"{FOLDER}/src/関数/" + "long/" * 30)
    progress = say(RunProgress(FOLDER), *begun(), ToolStarted(turn_id="t", call=call))
    clock.now += 3
    say(progress, UsageReported(turn_id="t", usage=Usage(input_tokens=9, output_tokens=1)))
    assert display_width(progress.text(width)) <= width
    assert width < 20 or "  3s" in progress.text(width)


def test_runs_that_are_too_many_for_the_screen_are_counted(clock: Clock) -> None:
    rows = RunRows(40)
    for number in range(20):
        say(rows.begin(f"a/long/way/to/part-{number:02}", FOLDER), *begun())
    rows.end("a/long/way/to/part-00", "completed")
    rows.end("a/long/way/to/part-01", "failed")
    shown = rows.rows(50, 8)
    assert shown[0] == "1 of 40 done, 1 failed, 18 at work, 20 waiting"
    assert shown[1] == "  …/way/to/part-02  [2/3] waiting for the model"
    assert shown[-1] == "  and 12 more"
    assert len(shown) == 8
    assert all(display_width(row) <= 50 for row in shown)


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        ({"ok": True, "exit_status": 1}, "  bash pytest -q  exit 1  3.2s"),
        ({"ok": True, "exit_status": 0}, "  bash pytest -q  3.2s"),
        ({"ok": True, "added": 3, "removed": 1}, "  bash pytest -q  +3 -1  3.2s"),
        ({"ok": True, "added": 0, "removed": 2}, "  bash pytest -q  -2  3.2s"),
        ({"ok": False}, "  bash pytest -q  failed  3.2s"),
        ({"ok": False, "denied": True}, "  bash pytest -q  denied  3.2s"),
    ],
)
def test_a_tool_has_one_line_with_its_end(
    end: dict[str, bool | int], shown: str, clock: Clock
) -> None:
    lines = ToolLines(FOLDER)
    lines(ToolStarted(turn_id="t", call=CALL))
    clock.now += 60  # a human was asked
    lines(
        PermissionDecided(
            turn_id="t", kind="shell", target="", allowed=True, reason="", tool_call_id="1"
        )
    )
    clock.now += 3.2
    call = ToolCall(id="1", name="bash", summary="pytest -q", **end)  # type: ignore[arg-type]
    assert "".join(text for text, _ in lines.line(call, 80)) == shown


def test_the_lines_of_a_diff_are_counted_within_its_hunks() -> None:
    diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n a\n--- b\n+++ c\n+d\n"
    assert changed_lines(diff) == (2, 1)
    assert changed_lines("") == changed_lines(None) == (None, None)
    assert module.fitted(["a", "bc", "d"], 6) == "a · bc"

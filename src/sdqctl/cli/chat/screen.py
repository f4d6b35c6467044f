"""What a conversation shows: answers as markdown, a line for each tool, a live line meanwhile."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Self

from sdqctl.cli.output import (
    counted,
    note,
    note_painted,
    note_parts,
    terminal_width,
    write_line,
    write_painted,
)
from sdqctl.cli.runs.live import LiveArea, wants_live_area
from sdqctl.cli.runs.nearing import nearing_line
from sdqctl.cli.runs.progress import RunProgress
from sdqctl.cli.runs.refusals import ReportedRefusals, net_line, refused_line
from sdqctl.cli.runs.sinks import Answers, Sink, fan_out
from sdqctl.cli.runs.tools import ToolLines
from sdqctl.cli.table import age, short_path
from sdqctl.closing import Closing
from sdqctl.model.events import (
    BudgetNearing,
    Event,
    NetRefused,
    PermissionDecided,
    StepRecovered,
    ToolFinished,
    Warned,
)
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from sdqctl.cli.keyboard import TypedAhead
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.session import Turn
    from sdqctl.sessions.query import Entry

_WIDTH = 76
_NARROWEST = 20
_SHOWN_LINES = 8


class TurnScreen(Closing):
    """The screen of one turn. `emit` is the sink that the engine feeds."""

    def __init__(self, folder: Path, typed: TypedAhead) -> None:
        """`folder` is the one that the agent works in; `typed` gets what is typed meanwhile."""
        sinks: list[Sink] = [Answers(), _Narrator(folder)]
        self._live: LiveArea | None = None
        if wants_live_area():
            progress = RunProgress(folder)
            self._live = LiveArea(progress, typed)
            sinks.append(self._live.sink(progress.note))
        self.emit = fan_out(*sinks)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def close(self) -> None:
        """Take the live row away."""
        if self._live is not None:
            self._live.stop()


class _Narrator:
    """A line for each tool: how it ended, or that it was refused."""

    def __init__(self, folder: Path) -> None:
        self._refusals = ReportedRefusals()
        self._tools = ToolLines(folder)

    def __call__(self, event: Event) -> None:
        self._tools(event)
        match event:
            case ToolFinished() if self._refusals.covers(event.call):
                pass
            case ToolFinished():
                note_parts(self._tools.line(event.call, terminal_width()))
            case PermissionDecided(allowed=False):
                self._refusals.note(event)
                note_painted(f"  denied: {refused_line(event)}", "yellow")
            case NetRefused():
                note_painted(f"  {one_line(net_line(event))}", "yellow")
            case StepRecovered():
                note(f"  {event.message}")
            case Warned():
                note_painted(f"  warning: {event.message}", "yellow")
            case BudgetNearing():
                note_painted(f"  warning: {nearing_line(event)}", "yellow")


def recap(entry: Entry, turns: list[Turn], run: RunRecord | None, steps: list[StepRecord]) -> None:
    """Say where it stands: what it is, its workflow, the last exchange, what is open."""
    info = entry.info
    head = f"{one_line(info.label)} · {age(entry.modified)} · {counted(len(turns), 'turn')}"
    note(head if info.model is None else f"{head} · {one_line(info.model)}")
    if run is not None:
        done = f"{run.steps_done} of {run.steps_total} steps"
        note(f"workflow {one_line(run.workflow or '-')}: {done}, {run.status}")
    if turns:
        last = turns[-1]
        note(f"you:   {one_line(last.prompt, _WIDTH - 7)}")
        for line in _preview(last.response if last.finished else "(cut off)"):
            note(f"agent: {line}")
    for line in open_matters(run, steps):
        note(line)
    if entry.run is not None and entry.run.is_open_prompt:
        note("your last message is not answered: /continue goes on with it")
    _note_keys()


def introduce(
    name: str | None, adapter: str, model: str | None, folder: Path, *, near: str | None
) -> None:
    """Say what begins: a session that is not there yet. `near`: a name that may have been meant."""
    called = one_line(name) if name is not None else "called after the first message"
    parts = [f"new session {called}", adapter, *([one_line(model)] if model else [])]
    note(" · ".join([*parts, one_line(short_path(str(folder)))]))
    if near is not None:
        note(f"there is a session {one_line(near)}, too; Ctrl-D leaves without making one")
    _note_keys()


def _note_keys() -> None:
    keys = "Enter sends, Alt-Enter is a new line, /help shows commands, Ctrl-D leaves."
    note(fill(keys, max(_NARROWEST, terminal_width() - 1)))


def open_matters(run: RunRecord | None, steps: list[StepRecord]) -> list[str]:
    """What waits for a human or was cut off."""
    if run is None or not run.status.unfinished:
        return []
    found = []
    if run.message:
        found.append(f"{run.status}: {one_line(run.message)}")
    cut = [step for step in steps if not step.status.settled]
    if cut and run.status != "paused":
        found.append(f"open: step {cut[-1].path} ({one_line(cut[-1].title)})")
    return [*found, "/continue does the remaining steps"]


def show_turn(turn: Turn) -> None:
    """One whole turn."""
    from sdqctl.cli.runs.markdown import render

    write_line(turn.prompt)
    for call in turn.tools:
        write_line(f"  {one_line(f'{call.name} {call.summary}', _WIDTH)}: {call.outcome}")
    write_painted(render(turn.response or "*no answer*"))


def _preview(text: str) -> list[str]:
    lines = [one_line(line, _WIDTH - 7) for line in text.splitlines() if line.strip()]
    more = len(lines) - _SHOWN_LINES
    return [*lines[:_SHOWN_LINES], f"… {more} more lines"] if more > 0 else lines

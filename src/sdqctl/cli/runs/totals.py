"""What a process's part of a run did, for the line that it ends with."""

from __future__ import annotations

import time
from collections.abc import Callable

from sdqctl.cli.output import Part, abbreviated, counted, note_width
from sdqctl.cli.runs.refusals import Denials
from sdqctl.model.events import Event, RunFinished, StepFinished
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import display_width

_NO_END = 10_000
"""Columns of a log."""
_COLOURS = {"completed": "green", "failed": "red"}


class Totals:
    """Counts what happens: tokens, refusals, commands that failed."""

    def __init__(self, seconds: Callable[[], float] | None = None) -> None:
        """`seconds` says how long it took, if that did not begin here."""
        began = time.monotonic()
        self._seconds = seconds or (lambda: time.monotonic() - began)
        self._tokens = 0
        self._commands = 0
        self._denials = Denials()

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        self._denials(event)
        if isinstance(event, StepFinished):
            self._tokens += event.usage.input_tokens + event.usage.output_tokens
            self._commands += event.kind == "run" and bool(event.tolerated or event.error)

    def lines(self, end: RunFinished, session: str | None) -> list[Part]:
        """How the run ended, and what would have allowed what was refused."""
        whole = end.steps_done == end.steps_total
        done = counted(end.steps_done, "step")
        done = done if whole else f"{end.steps_done} of {counted(end.steps_total, 'step')}"
        parts = [f"run {end.status}: {done} in {format_duration(self._seconds())}"]
        if self._tokens:
            parts.append(f"{abbreviated(self._tokens)} tokens")
        parts += self._denials.counts()
        if self._commands:
            parts.append(f"{counted(self._commands, 'command')} failed")
        if end.files_changed:
            parts.append(f"{counted(end.files_changed, 'file')} changed")
        lines = "".join(f"\n{line}" for line in self._denials.ways(session))
        return [(_laid_out(parts), _COLOURS.get(end.status, "yellow")), (lines, "dim")]


def _laid_out(parts: list[str]) -> str:
    """On one line; where a terminal is narrower on several, broken between the parts."""
    width = note_width(_NO_END)
    lines = [parts[0]]
    for part in parts[1:]:
        if display_width(f"{lines[-1]}, {part},") <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(f"  {part}")
    return ",\n".join(lines)

"""What a run is doing at this moment: for the live row of one run, or of one among many."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sdqctl.cli.output import abbreviated, counted, paint_note
from sdqctl.cli.runs.tools import described
from sdqctl.model.events import (
    Event,
    MessageAdded,
    ModelRetried,
    RunStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    UsageReported,
)
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import display_width, one_line

_NOTABLE = 1.0
"""Seconds from which on it is said how long something takes."""


class RunProgress:
    """Where a run is, from its events so far."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the one that the agent works in."""
        self._folder = folder
        self._total = 0
        self._step: StepStarted | None = None
        self._over = False
        self._step_began = self._began = time.monotonic()
        """Of the step, and of what is done at the moment."""
        self._tools: dict[str, str] = {}
        self._words = 0
        self._in_word = False
        self._tokens = self._context = self._retries = 0

    def note(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self._total = event.steps_total
            case StepStarted():
                self._begin()
                self._step, self._step_began, self._retries = event, self._began, 0
            case StepFinished():
                self._step, self._over = None, True
            case ToolStarted():
                self._begin(keep_tools=True)
                self._tools[event.call.id] = described(event.call, self._folder)
            case ToolFinished():
                self._tools.pop(event.call.id, None)
                self._begin(keep_tools=True)
            case TextDelta():
                self._add_words(event.text)
            case MessageAdded() | TurnFinished():
                self._begin(keep_tools=True)
            case UsageReported():
                self._tokens += event.usage.input_tokens + event.usage.output_tokens
                self._context = event.usage.input_tokens + event.usage.cached_tokens
            case ModelRetried():
                self._retries += 1

    def text(self, width: int) -> str:
        """What there is to say in so many columns; nothing between steps."""
        step, now = self._step, time.monotonic()
        if step is None:
            return "" if self._over else fitted([f"starting{_for(now - self._began)}"], width)
        parts = [self._doing(step, now, width)]
        if self._retries:
            parts.append(f"tried again {counted(self._retries, 'time')}")
        if self._began > self._step_began:
            parts.append(f"{format_duration(now - self._step_began, whole=True)} in all")
        if self._tokens:
            parts.append(f"{abbreviated(self._tokens)} tokens")
            parts.append(f"context {abbreviated(self._context)}")
        return fitted(parts, width)

    def rows(self, columns: int, lines: int) -> list[str]:
        """The same as the one row of a live area."""
        text = self.text(columns)
        return [paint_note(text, "dim")] if text else []

    def _doing(self, step: StepStarted, now: float, width: int) -> str:
        """What is done, and for how long; what it is about is cut, not the rest."""
        place = f"[{step.path}/{self._total}] " if self._total > 1 else ""
        took = _for(now - self._began)
        if self._tools:
            *others, what = self._tools.values()
            end = f" {took}" * bool(took) + f"  and {len(others)} more" * bool(others)
        elif step.kind != "prompt":
            what, end = step.title, f" {took}" * bool(took)
        elif self._words:
            what, end = f"writing, {counted(self._words, 'word')}", ""
        else:
            what, end = "waiting for the model", took
        return f"{place}{one_line(what, max(width - len(place) - len(end), 1))}{end}"

    def _begin(self, *, keep_tools: bool = False) -> None:
        """Something else is done from now on."""
        self._began = time.monotonic()
        self._words, self._in_word = 0, False
        if not keep_tools:
            self._tools.clear()

    def _add_words(self, text: str) -> None:
        if not text:
            return
        begins_within = self._in_word and not text[0].isspace()
        self._words += len(text.split()) - begins_within
        self._in_word = not text[-1].isspace()


def fitted(parts: Sequence[str], width: int) -> str:
    """As many of the parts as there is room for, the first ones; the first is cut if it must."""
    line = parts[0] if display_width(parts[0]) <= width else one_line(parts[0], width)
    for part in parts[1:]:
        longer = f"{line} · {part}"
        if display_width(longer) > width:
            break
        line = longer
    return line


def _for(seconds: float) -> str:
    return f" {format_duration(seconds, whole=True)}" if seconds >= _NOTABLE else ""

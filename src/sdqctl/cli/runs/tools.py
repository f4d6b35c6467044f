"""What a tool did, on one line."""

from __future__ import annotations

import time
from pathlib import Path

from sdqctl.cli.output import Part
from sdqctl.model.events import Event, PermissionDecided, ToolStarted
from sdqctl.model.session import ToolCall
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import between_words, display_width

_NOTABLE = 0.5
"""Seconds from which on it is said how long a tool took."""


class ToolLines:
    """The lines of tools, which know how long each was at work."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the one that the agent works in."""
        self._folder = folder
        self._begun: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Take an event in. A tool is at work from when it was allowed."""
        match event:
            case ToolStarted():
                self._begun[event.call.id] = time.monotonic()
            case PermissionDecided(tool_call_id=str(call)) if call in self._begun:
                self._begun[call] = time.monotonic()

    def line(self, call: ToolCall, width: int) -> list[Part]:
        """What it did and how it ended: `bash pytest -q  exit 1  3.2s`, `edit src/a.py  +3 -1`."""
        begun = self._begun.pop(call.id, None)
        end = _outcome(call)
        took = 0.0 if begun is None else time.monotonic() - begun
        if took >= _NOTABLE:
            end.append((f"  {format_duration(took)}", "dim"))
        room = width - sum(display_width(text) for text, _ in end) - 2
        return [(f"  {between_words(described(call, self._folder), room)}", "dim"), *end]


def described(call: ToolCall, folder: Path) -> str:
    """A tool and what it is about; a path in the folder is shown from there."""
    about = call.summary.removeprefix(f"{folder}/")
    return f"{call.name} {about}".strip()


def _outcome(call: ToolCall) -> list[Part]:
    if call.denied:
        return [("  denied", "yellow")]
    if call.exit_status is not None:
        return [(f"  exit {call.exit_status}", "red")] if call.exit_status else []
    if call.ok is False:
        return [("  failed", "red")]
    end: list[Part] = []
    if call.added:
        end.append((f"  +{call.added}", "green"))
    if call.removed:
        end.append((f"{' ' if call.added else '  '}-{call.removed}", "red"))
    return end

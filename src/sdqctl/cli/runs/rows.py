"""Many runs at once on a terminal: a live row for each that is at work, the others as a count."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from sdqctl.cli.output import paint_note
from sdqctl.cli.runs.progress import RunProgress, fitted
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import display_width, end_of, one_line

_DONE = ("completed", "skipped")
_MOST_ROWS = 16
_SHARE = 3
"""A label gets at most such a part of a row."""


class RunRows:
    """The rows of runs that are known by a label; a LiveView."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._at_work: dict[str, RunProgress] = {}
        self._ended: Counter[str] = Counter()

    @property
    def is_at_work(self) -> bool:
        """Whether more is to come."""
        return bool(self._at_work) or self._ended.total() < self._total

    def begin(self, label: str, folder: Path) -> RunProgress:
        """One begins, in a folder; what is returned takes its events in."""
        progress = self._at_work[label] = RunProgress(folder)
        return progress

    def end(self, label: str, outcome: str) -> None:
        """One ended so, or was done before."""
        self._at_work.pop(label, None)
        self._ended[outcome] += 1

    def rows(self, columns: int, lines: int) -> list[str]:
        """How many ended how, and what those at work are doing."""
        running = list(self._at_work.items())
        if not running:
            return []
        room = max(min(lines - 1, _MOST_ROWS), 1)
        shown = running if len(running) <= room else running[: room - 1]
        widest = max(display_width(one_line(label)) for label, _ in shown)
        width = min(widest, columns // _SHARE)
        rows = [paint_note(fitted(self._summary(), columns), "bold")] if self._total > 1 else []
        rows += [_row(label, width, progress, columns) for label, progress in shown]
        if len(shown) < len(running):
            rows.append(f"  and {len(running) - len(shown)} more")
        return rows

    def _summary(self) -> list[str]:
        """`12 of 30 done`, and so on, the most telling first."""
        ended = self._ended
        done = ended["completed"] + ended["skipped"]
        parts = [f"{done} of {self._total} done"]
        parts += [f"{n} {outcome}" for outcome, n in ended.items() if outcome not in _DONE]
        parts.append(f"{len(self._at_work)} at work")
        if waiting := self._total - ended.total() - len(self._at_work):
            parts.append(f"{waiting} waiting")
        took = format_duration(time.monotonic() - self._began, whole=True)
        return [", ".join(parts), took]


def _row(label: str, width: int, progress: RunProgress, columns: int) -> str:
    name = end_of(one_line(label), width)
    padding = " " * (width - display_width(name))
    return f"  {name}{padding}  {progress.text(max(columns - width - 4, 1))}"

"""How runs are shown that a run calls: lines under a label, on a terminal a live row for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdqctl.cli.runs.rows import RunRows
from sdqctl.cli.runs.sinks import Sink, fan_out
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.runs.live import LiveArea, LiveView
    from sdqctl.engine.context import RunContext


class CalledRows:
    """A LiveView: what a run shows of itself, and below it the runs that it calls."""

    def __init__(self, own: LiveView) -> None:
        self._own = own
        self._lists: dict[tuple[str, str], RunRows] = {}

    def of(self, context: RunContext) -> RunRows:
        """The rows of the list that a run belongs to: of the step that calls it."""
        caller = context.caller
        assert caller is not None, "only what is called has a row of its own"
        key = (caller.run.id, caller.step.path.rpartition("[")[0] or caller.step.path)
        if key not in self._lists or not self._lists[key].is_at_work:
            self._lists = {k: rows for k, rows in self._lists.items() if rows.is_at_work}
        return self._lists.setdefault(key, RunRows(caller.total))

    def rows(self, columns: int, lines: int) -> list[str]:
        """All of them, as far as there is room."""
        found = self._own.rows(columns, lines)
        for rows in [*self._lists.values()]:
            found += rows.rows(columns, max(lines - len(found), 1))
        return found[:lines]


class NestedRuns:
    """A `Nest`: gives each run that is called the sinks that it has with its caller, lines under
    its label, and its row.
    """

    def __init__(
        self, together: Sequence[Sink], narrate: Callable[[str, RunContext], Sink]
    ) -> None:
        """`narrate` makes what narrates a run under a label."""
        self._together = together
        self._narrate = narrate
        self._live: tuple[LiveArea, CalledRows] | None = None

    def show_rows(self, area: LiveArea, rows: CalledRows) -> None:
        """Let each have a row, too."""
        self._live = area, rows

    @contextmanager
    def __call__(self, context: RunContext) -> Iterator[Sink]:
        """A run that is called goes on in here."""
        label = label_of(context)
        sinks = [*self._together, self._narrate(label, context)]
        if self._live is None:
            yield fan_out(*sinks)
            return
        area, called = self._live
        row = _row_of(context) or label
        with area.changing():
            rows = called.of(context)
            progress = rows.begin(row, context.cwd)
        sinks.append(area.sink(progress.note))
        outcome = "failed"
        try:
            yield fan_out(*sinks)
            outcome = "completed"
        finally:
            with area.changing():
                rows.end(row, outcome)


def _row_of(context: RunContext) -> str | None:
    """What the run of an item goes by among the rows of its list: its number, and what it is."""
    caller = context.caller
    if caller is None or not caller.label:
        return None
    turn = caller.step.path.rpartition("[")[2].partition("]")[0]
    return one_line(f"{turn} {caller.label}")


def label_of(context: RunContext) -> str:
    """What a run that is called goes by in the lines of the outermost one."""
    name, outer = context.target.name, context
    while outer.caller is not None:
        outer = outer.caller.run.context
    short = name.removeprefix(f"{outer.target.name}/")
    caller = context.caller
    item = one_line(caller.label, 40) if caller is not None and caller.label else ""
    if short == outer.target.name and caller is not None:  # in the same conversation
        short = caller.step.title.removesuffix(".conv")
    return one_line(f"{short} ({item})" if item else short)

"""What a batch of runs shows: a line for each begin and end, a summary, and what it ended with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, is_terminal, note, write_json
from sdqctl.cli.runs.refusals import Denials, net_line, refused_line
from sdqctl.cli.table import Cell, Column, print_rows
from sdqctl.errors import InterruptedRunError, PausedError, SdqctlError, StepError
from sdqctl.model.events import (
    Event,
    NetRefused,
    PermissionDecided,
    PromptBegun,
    StepFinished,
    StepRecovered,
    StepStarted,
    Warned,
)
from sdqctl.model.run import BatchOutcome
from sdqctl.store.redact import Redactor
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.runs.options import Display
    from sdqctl.engine.context import RunContext
    from sdqctl.model.run import RunRecord
    from sdqctl.model.views.run import BatchRunView

_COLUMNS = (
    Column("NAME", shrinks=True),
    Column("STATUS"),
    Column("STEPS"),
    Column("TIME"),
    Column("SESSION", shrinks=True),
)
_NAMED = 5
"""How many that failed an error names."""
_COLOURS = {"completed": "green", "skipped": "dim", "failed": "red"}


@dataclass
class Item:
    """One run of the batch, and how it ended."""

    label: str
    context: RunContext
    command: str
    """What goes before the flags that settle this one alone."""
    outcome: BatchOutcome = BatchOutcome.NOT_STARTED
    error: SdqctlError | None = None
    started: float | None = None
    seconds: float = 0.0
    denials: Denials = field(default_factory=Denials)


class Progress:
    """A line for each begin and end on stderr; with -v a line for each step, too."""

    def __init__(self, total: int, display: Display) -> None:
        self._total = total
        self._ended = 0
        self._quiet = display.quiet
        self._verbose = display.verbose
        self._show_prompts = display.show_prompts
        self._redact = Redactor(os.environ)
        self._denials = Denials()

    def begin(self, skipped: int) -> None:
        """Tell what is ahead."""
        self._ended = skipped
        done = f", {skipped} done before" if skipped else ""
        self._tell(f"{counted(self._total, 'run')}{done}")

    def started(self, item: Item) -> None:
        """One begins."""
        if self._verbose:
            self._tell(f"{one_line(item.label)}: begins")

    def sink(self, item: Item) -> Callable[[Event], None]:
        """Where the events of one run go."""
        label = one_line(item.label)
        refused: list[NetRefused] = []

        def emit(event: Event) -> None:
            item.denials(event)
            self._denials(event)
            if isinstance(event, Warned):
                self._tell(f"{label}: warning: {event.message}")
            elif isinstance(event, NetRefused):
                if self._verbose or not refused:
                    self._tell(f"{label}: {net_line(event)}")
                refused.append(event)
            elif isinstance(event, PermissionDecided) and not event.allowed:
                self._tell(f"{label}: denied: {refused_line(event)}")
            elif isinstance(event, StepRecovered):
                self._tell(f"{label}: step {event.path} {event.action}: {event.message}")
            elif self._show_prompts and isinstance(event, PromptBegun):
                self._tell("\n".join(f"{label} > {line}" for line in event.prompt.split("\n")))
            elif self._verbose and isinstance(event, StepStarted | StepFinished):
                what = "begins" if isinstance(event, StepStarted) else event.status
                self._tell(f"{label}: step {event.path} {event.kind} {event.title}: {what}")

        return emit

    def ended(self, item: Item, run: RunRecord | None, error: SdqctlError | None) -> None:
        """One ended."""
        item.seconds = time.monotonic() - (item.started or time.monotonic())
        item.error, item.outcome = error, _outcome(error)
        self._ended += 1
        why = f": {error.message.splitlines()[0]}" if error else ""
        took = format_duration(item.seconds)
        head = f"[{self._ended}/{self._total}] {item.outcome}"
        refused = item.denials.count()
        self._tell(f"{head} {one_line(item.label)} in {took}{refused}{one_line(why)}")
        if error is not None and error.hint and "`--" in error.hint:
            hint = error.hint.replace("`--", f"{item.command} --")
            note(self._redact(f"hint: {one_line(item.label)}: {hint}"))

    def end(self) -> None:
        """All have ended: how much was refused in them together."""
        ways = self._denials.ways(None)
        if count := self._denials.count().removeprefix(", "):
            self._tell("\n".join([f"{count} in all", *ways]))

    def _tell(self, text: str) -> None:
        if not self._quiet:
            note(self._redact(text))


def _outcome(error: SdqctlError | None) -> BatchOutcome:
    if error is None:
        return BatchOutcome.COMPLETED
    if isinstance(error, PausedError):
        return BatchOutcome.PAUSED
    if isinstance(error, InterruptedRunError):
        return BatchOutcome.INTERRUPTED
    return BatchOutcome.FAILED


def print_summary(items: list[Item], output_format: str) -> None:
    """Print how each ended, as a table, lines or JSON."""
    if output_format != "text":
        write_json([_view(item) for item in items])
        return
    as_table = is_terminal()
    print_rows(_COLUMNS if as_table else (), [_row(item) for item in items], as_table=as_table)


def _record(item: Item) -> RunRecord | None:
    runs = item.context.ledger.runs_of(item.context.target.ref)
    return runs[-1] if runs else None


def _row(item: Item) -> list[Cell]:
    run = _record(item)
    total = len(item.context.plan.steps)
    return [
        Cell(item.label),
        Cell(item.outcome.value, colour=_COLOURS.get(item.outcome.value, "yellow")),
        Cell(f"{run.steps_done if run else 0}/{total}"),
        Cell(format_duration(item.seconds)),
        Cell(item.context.target.name),
    ]


def _view(item: Item) -> BatchRunView:
    from sdqctl.model.views.run import BatchErrorView, BatchRunView, RunView, SessionName

    run, error = _record(item), item.error
    return BatchRunView(
        name=item.label,
        session=SessionName(id=item.context.target.ref.id, name=item.context.target.name),
        status=item.outcome,
        run=RunView.of(run) if run else None,
        seconds=round(item.seconds, 3),
        denied=item.denials.entries,
        error=BatchErrorView(code=error.code, message=error.message) if error else None,
    )


def _named(items: list[Item]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(one_line(item.label) for item in items[:_NAMED]) + more


def raise_failures(items: list[Item]) -> None:
    """Raise for the batch what it ended with: failures first, then pauses."""
    failed = [item for item in items if item.outcome is BatchOutcome.FAILED]
    left = [item for item in items if item.outcome is BatchOutcome.NOT_STARTED]
    again = "the same command again does what is left"
    if failed:
        rest = f", {len(left)} not started" if left else ""
        message = f"{len(failed)} of {len(items)} failed{rest}: {_named(failed)}"
        raise StepError(message, hint=again)
    paused = [item for item in items if item.outcome is BatchOutcome.PAUSED]
    if paused:
        raise PausedError(f"{len(paused)} of {len(items)} wait for a human", hint=again)

"""What a batch of runs shows: a line for each begin and end, a summary, and what it ended with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from sdqctl.cli.keyboard import unechoed
from sdqctl.cli.output import counted, is_terminal, note, note_painted, write_json
from sdqctl.cli.runs.live import LiveArea, wants_live_area
from sdqctl.cli.runs.nearing import nearing_line
from sdqctl.cli.runs.refusals import Denials, net_line, refused_line
from sdqctl.cli.runs.rows import RunRows
from sdqctl.cli.runs.sinks import fan_out
from sdqctl.cli.table import Cell, Column, print_rows
from sdqctl.closing import Closing
from sdqctl.errors import BusyError, InterruptedRunError, PausedError, SdqctlError, StepError
from sdqctl.model.events import (
    BudgetNearing,
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
from sdqctl.store.locks import other_holder
from sdqctl.store.redact import Redactor
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.runs.options import Display
    from sdqctl.engine.context import RunContext
    from sdqctl.model.run import RunRecord
    from sdqctl.model.views.run import BatchRunView

_COLUMNS = (
    Column("NAME", shrinks=True, keeps_end=True),
    Column("STATUS"),
    Column("STEPS"),
    Column("TIME"),
    Column("SESSION", shrinks=True, keeps_end=True),
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


class Progress(Closing):
    """A line for each begin and end on stderr, with -v for each step, too; on a terminal a live row
    for each that is at work, and lines for what is wrong alone.
    """

    def __init__(self, total: int, display: Display) -> None:
        self._total = total
        self._ended = 0
        self._quiet = display.quiet
        self._verbose = display.verbose
        self._show_prompts = display.show_prompts
        self._redact = Redactor(os.environ)
        self._denials = Denials()
        self._rows = RunRows(total)
        live = not display.quiet and not display.dry_run and wants_live_area()
        self._live = LiveArea(self._rows) if live else None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._stack.enter_context(unechoed())
            self._live.start()
            self._stack.callback(self._live.stop)
        return self

    def close(self) -> None:
        """Take the live rows away."""
        self._stack.close()

    def begin(self, skipped: int) -> None:
        """Tell what is ahead."""
        self._ended = skipped
        for _ in range(skipped):
            self._rows.end("", BatchOutcome.SKIPPED)
        done = f", {skipped} done before" if skipped else ""
        self._tell(f"{counted(self._total, 'run')}{done}")

    def started(self, item: Item) -> Callable[[Event], None]:
        """One begins; where its events go."""
        item.started = time.monotonic()
        if self._verbose:
            self._tell(f"{one_line(item.label)}: begins")
        lines = self._lines(item)
        if self._live is None:
            return lines
        with self._live.changing():
            progress = self._rows.begin(item.label, item.context.cwd)
        return fan_out(lines, self._live.sink(progress.note))

    def _lines(self, item: Item) -> Callable[[Event], None]:
        label = one_line(item.label)
        net_told = False

        def emit(event: Event) -> None:
            nonlocal net_told
            item.denials(event)
            self._denials(event)
            if isinstance(event, NetRefused):
                told, net_told = net_told, True
                if told and not self._verbose:
                    return
            for line in self._told(event):
                self._tell(f"{label}{line}", _colour(event))

        return emit

    def _told(self, event: Event) -> list[str]:
        """What an event says of its run, after the label."""
        match event:
            case Warned():
                return [f": warning: {event.message}"]
            case BudgetNearing():
                return [f": warning: {nearing_line(event)}"]
            case NetRefused():
                return [f": {net_line(event)}"]
            case PermissionDecided(allowed=False):
                return [f": denied: {refused_line(event)}"]
            case StepRecovered():
                return [f": step {event.path} {event.action}: {event.message}"]
            case PromptBegun() if self._show_prompts:
                return [f" > {line}" for line in event.prompt.split("\n")]
            case StepStarted() | StepFinished() if self._verbose:
                what = "begins" if isinstance(event, StepStarted) else event.status
                return [f": step {event.path} {event.kind} {event.title}: {what}"]
        return []

    def ended(self, item: Item, run: RunRecord | None, error: SdqctlError | None) -> None:
        """One ended. Where it has a row, only its failure is worth a line."""
        item.seconds = time.monotonic() - (item.started or time.monotonic())
        item.error, item.outcome = error, _outcome(error)
        self._ended += 1
        if self._live is not None:
            with self._live.changing():
                self._rows.end(item.label, item.outcome)
        if self._live is None or self._verbose or error is not None:
            head = f"[{self._ended}/{self._total}] {item.outcome} {one_line(item.label)}"
            counts = "".join(f", {count}" for count in item.denials.counts())
            took = format_duration(item.seconds)
            colour = None if error is None else _COLOURS.get(item.outcome.value, "yellow")
            self._tell(f"{head} in {took}{counts}{_why(error)}", colour)
        self._hint(item)

    def _hint(self, item: Item) -> None:
        """What settles this one alone, where its error says it; also with -q."""
        hint = item.error.hint if item.error is not None else None
        if hint and "`--" in hint:
            hint = hint.replace("`--", f"{item.command} --")
            note(self._redact(f"hint: {one_line(item.label)}: {hint}"))

    def end(self, items: Sequence[Item]) -> None:
        """All have ended: those that failed with their reasons, and how much was refused in all."""
        failed = _failed(items)
        for item in failed if len(failed) > 1 else ():
            self._tell(f"failed: {one_line(item.label)}{_why(item.error)}", "red")
        ways = self._denials.ways(None)
        if counts := self._denials.counts():
            self._tell("\n".join([f"{', '.join(counts)} in all", *ways]))

    def _tell(self, text: str, colour: str | None = None) -> None:
        if not self._quiet:
            note_painted(self._redact(text), colour)


def _failed(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.outcome is BatchOutcome.FAILED]


def _why(error: SdqctlError | None) -> str:
    return "" if error is None else one_line(f": {error.message.splitlines()[0]}")


def _colour(event: Event) -> str:
    return "dim" if isinstance(event, PromptBegun | StepStarted | StepFinished) else "yellow"


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
    from sdqctl.engine.target import driven_run
    from sdqctl.sessions.query import effective_status

    context = item.context
    run = driven_run(context.target, context.ledger)
    who = other_holder(context.setup.home, context.target.ref, os.getpid())
    return effective_status(run, who) if run is not None else None


def _row(item: Item) -> list[Cell]:
    run = _record(item)
    total = len(item.context.plan.steps) if run is None else run.steps_total
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


def _named(items: Sequence[Item]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(one_line(item.label) for item in items[:_NAMED]) + more


def raise_failures(items: list[Item]) -> None:
    """Raise for the batch what it ended with: failures first, unless all of them may be tried again
    later, then pauses.
    """
    failed = _failed(items)
    left = [item for item in items if item.outcome is BatchOutcome.NOT_STARTED]
    again = "the same command again does what is left"
    if failed:
        rest = f", {len(left)} not started" if left else ""
        why = _why(failed[0].error) if len(failed) == 1 else ""
        message = f"{len(failed)} of {len(items)} failed{rest}: {_named(failed)}{why}"
        waits = all(isinstance(item.error, BusyError) for item in failed)
        raise (BusyError if waits else StepError)(message, hint=again)
    paused = [item for item in items if item.outcome is BatchOutcome.PAUSED]
    if paused:
        raise PausedError(f"{len(paused)} of {len(items)} wait for a human", hint=again)

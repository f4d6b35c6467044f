"""Following a run in the background by its log, shown as a run is shown."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.cli.output import write_json, write_json_line
from sdqctl.cli.runs.nearing import Nearing
from sdqctl.cli.runs.refusals import Denials
from sdqctl.cli.runs.report import add_way_on, result_view
from sdqctl.cli.runs.sinks import Answers, JsonLines, Narrator, Sandboxing, Sink, Verbosity, fan_out
from sdqctl.engine.detached import error_of
from sdqctl.errors import InterruptedRunError, PausedError, SdqctlError, UsageError
from sdqctl.model.session import SessionRef
from sdqctl.store.gates import record_shown
from sdqctl.store.locks import other_holder
from sdqctl.store.redact import Redactor
from sdqctl.store.run_logs import LogEnded, LogReader, log_path
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.model.run import RunRecord
    from sdqctl.model.session import Holder
    from sdqctl.sessions.query import Entry

_POLL = 0.1
"""Seconds between looks at the log."""


def watch_run(app: App, argument: str, adapter: str | None, display: Display) -> int:
    """Show what the last run of a session in the background said and says, until it ends; returns
    0. Raises the run's error, UsageError where no run has a log, InterruptedRunError when its
    process is gone.
    """
    from sdqctl.sessions.resolve import find_session

    entry = find_session(app, argument, adapter)
    run, log = _log_of(app, entry)
    watched = _Watched(app, entry, run, log, display)
    try:
        ended = _follow(log, watched.emit)
    except KeyboardInterrupt:
        ending = on_session("sessions interrupt", one_line(entry.info.label))
        raise InterruptedRunError(
            "no longer watched; the run goes on", hint=f"`{ending}` ends it"
        ) from None
    finally:
        log.close()
    return watched.end(ended)


def _log_of(app: App, entry: Entry) -> tuple[RunRecord, LogReader]:
    """The run of a session that was last at work and has a log, and that."""
    with app.ledger(read_only=True) as ledger:
        runs = ledger.runs_of(entry.ref)
    for run in sorted(runs, key=lambda run: run.updated_at, reverse=True):
        try:
            return run, LogReader(log_path(app.home, run.id))
        except FileNotFoundError:
            continue
    held = f" ({entry.holder.describe()} does it)" if entry.holder else ""
    raise UsageError(
        f"no run of session {entry.info.label!r} went on in the background{held}",
        hint="`sdqctl run --detach` begins one; `sdqctl sessions show` has what is recorded",
    )


def _follow(log: LogReader, emit: Sink) -> LogEnded | None:
    """Hand on all events; returns how the run ended, None when its process is gone."""
    while True:
        alive = log.is_written()
        for line in log.lines():
            if isinstance(line, LogEnded):
                return line
            emit(line)  # type: ignore[arg-type]
        if not alive and not log.is_written():
            return None
        time.sleep(_POLL)


class _Watched:
    """The screens of a run that another process does."""

    def __init__(
        self, app: App, entry: Entry, run: RunRecord, log: LogReader, display: Display
    ) -> None:
        self._app, self._entry, self._run, self._display = app, entry, run, display
        self._log = log
        self._denials, self._sandboxing, self._nearing = Denials(), Sandboxing(), Nearing()
        sinks: list[Sink] = [self._denials, self._sandboxing, self._nearing]
        if display.output_format == "jsonl":
            sinks.append(JsonLines())
        if display.output_format == "text":
            sinks.append(Answers())
        level = Verbosity.VERBOSE if display.verbose else Verbosity.NORMAL
        narrator = Narrator(
            Verbosity.QUIET if display.quiet else level,
            Redactor(os.environ),
            Path(run.cwd or os.curdir),
            show_prompts=display.show_prompts,
            seconds=log.seconds,
        )
        self.emit: Sink = fan_out(*sinks, narrator)

    def end(self, ended: LogEnded | None) -> int:
        """Print the result; returns 0, or raises what the run ended with."""
        label = self._entry.info.label
        self._print_object()
        if ended is None:
            lost = InterruptedRunError("the process that did the run is gone")
            add_way_on(lost, label)
            raise lost
        if ended.error is None:
            return 0
        error = error_of(ended.error)
        if ended.paused_at is not None:
            error = self._paused(error, ended.paused_at)
        raise error

    def _paused(self, error: SdqctlError, path: str) -> PausedError:
        from functools import partial

        paused = PausedError(error.message, hint=error.hint, path=path)
        paused.on_shown = partial(record_shown, self._app.home, self._run.id, path)
        return paused

    def _driver(self, run: RunRecord) -> Holder | None:
        """Who does the run now: not the process that was watched to its end."""
        ref = SessionRef(run.adapter, run.session_id)
        return other_holder(self._app.home, ref, self._log.writer_pid)

    def _print_object(self) -> None:
        from sdqctl.model.views.run import ResultLine, ResultView

        if self._display.output_format == "text":
            return
        with self._app.ledger(read_only=True) as ledger:
            run = ledger.run(self._run.id) or self._run
            sandbox, nearing = self._sandboxing.entry(), self._nearing.entries()
            parts = (ledger, run, self._driver(run), self._denials.entries, sandbox, nearing)
            if self._display.output_format == "json":
                write_json(result_view(ResultView, *parts))
            else:
                write_json_line(result_view(ResultLine, *parts))

"""Where the events of a run go: narration to stderr, answers or events to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, BinaryIO, assert_never

from sdqctl.cli.output import (
    Part,
    gap,
    is_terminal,
    note_parts,
    note_width,
    write_json_line,
    write_line,
)
from sdqctl.cli.runs.nearing import nearing_line
from sdqctl.cli.runs.refusals import ReportedRefusals, net_line, refused_line
from sdqctl.cli.runs.tools import ToolLines
from sdqctl.cli.runs.totals import Totals
from sdqctl.errors import StepError
from sdqctl.model.events import (
    BudgetNearing,
    ContextChanged,
    Event,
    MessageAdded,
    ModelCallFailed,
    ModelRetried,
    NetRefused,
    PermissionDecided,
    PromptAccepted,
    PromptBegun,
    PromptStored,
    RunFinished,
    RunStarted,
    SessionOpened,
    StepFinished,
    StepRecovered,
    StepStarted,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
    TurnProgress,
    UsageReported,
    Warned,
)
from sdqctl.model.run import StepStatus
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from sdqctl.cli.runs.markdown import MarkdownStream
    from sdqctl.model.session import ToolCall
    from sdqctl.model.views.run import SandboxView
    from sdqctl.store.redact import Redactor

Sink = Callable[[Event], None]
_Silent = (
    PromptBegun
    | PromptAccepted
    | PromptStored
    | TextDelta
    | TurnProgress
    | MessageAdded
    | ToolStarted
    | UsageReported
    | ModelCallFailed
    | TurnFailed
    | Warned
    | BudgetNearing
)
"""What is not narrated, or not as a line of its own."""
_Detail = _Silent | PermissionDecided | ContextChanged | ModelRetried | TurnFinished
"""What is not narrated but with -v. mypy names an event that stands nowhere."""
_LOG_WIDTH = 100
"""Columns of a tool's line where no terminal says how many there are."""


class Verbosity(IntEnum):
    """How much is narrated: -q, the default, -v."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


def fan_out(*sinks: Sink) -> Sink:
    """One sink that hands each event to all of `sinks`."""

    def emit(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return emit


class Sandboxing:
    """Collects which net held and what it refused, for the result."""

    def __init__(self) -> None:
        self.kind = "none"
        self.count = 0
        self._paths: dict[tuple[str, str], NetRefused] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, SessionOpened):
            self.kind = event.sandbox
        elif isinstance(event, NetRefused):
            self.count += 1
            self._paths.setdefault((event.path, event.access), event)

    def entry(self) -> SandboxView:
        """The part of the result's object."""
        from sdqctl.model.views.run import RefusedPathView, SandboxView

        refused = [
            RefusedPathView(path=event.path, access=event.access, hint=event.hint)
            for event in self._paths.values()
        ]
        return SandboxView(kind=self.kind, refusals=self.count, refused=refused)


class JsonLines:
    """Writes every event as one JSON line on stdout."""

    def __call__(self, event: Event) -> None:
        write_json_line(event)


class EventLog:
    """Writes events as JSON lines to a file (EVENT-LOG), without secrets.

    The pieces of an answer are left out: it comes whole, and a secret in two pieces is not seen.
    """

    def __init__(self, stream: BinaryIO, redact: Redactor) -> None:
        self._stream = stream
        self._redact = redact

    def __call__(self, event: Event) -> None:
        import msgspec

        if isinstance(event, TextDelta):
            return
        clean = self._redact.data(msgspec.to_builtins(event))
        line = msgspec.json.encode(clean) + b"\n"
        try:
            while line:
                line = line[os.write(self._stream.fileno(), line) :]
        except OSError as error:
            raise StepError(
                f"EVENT-LOG {self._stream.name} cannot be written: {error.strerror}",
                hint="free some space, or take EVENT-LOG out; then go on",
            ) from error


class Answers:
    """Writes the agent's answers to stdout: as they come on a terminal, whole in a pipe."""

    def __init__(self) -> None:
        self._live = is_terminal()
        self._markdown: MarkdownStream | None = None
        self._streamed = False
        self._written = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, TextDelta) and self._live:
            self._stream(event.text)
        elif isinstance(event, MessageAdded) and self._streamed:
            self._end()
            self._streamed = event.final
        elif isinstance(event, StepFinished) and event.kind == "prompt" and not event.error:
            if not self._streamed and self._live:
                self._stream(event.response)
                self._end()
            elif not self._streamed:
                self._write(event.response)
            self._streamed = False
            sys.stdout.flush()

    def _stream(self, piece: str) -> None:
        from sdqctl.cli.runs.markdown import MarkdownStream

        if not self._streamed:
            gap()
            self._streamed = True
        if self._markdown is None:
            self._markdown = MarkdownStream()
        self._markdown.feed(piece)
        sys.stdout.flush()

    def _end(self) -> None:
        """The message that streamed has ended; it stands apart from what comes."""
        if self._markdown is not None:
            self._markdown.finish()
        gap()

    def _write(self, answer: str) -> None:
        if self._written:
            write_line()
        write_line(answer)
        self._written = True


class Narrator:
    """Says on stderr what happens, a line a step and a tool, without secrets: it is CI's log."""

    def __init__(
        self,
        verbosity: Verbosity,
        redact: Callable[[str], str],
        folder: Path,
        *,
        show_prompts: bool = False,
        label: str | None = None,
        seconds: Callable[[], float] | None = None,
    ) -> None:
        """`folder` is the one that the agent works in. With a `label`, which stands before each
        line, it is a run that another one calls. `seconds`: how long a run took that did not
        begin here.
        """
        self._label = label
        self._verbosity = verbosity
        self._redact = redact
        self._show_prompts = show_prompts
        self._session: str | None = None
        self._total = 0
        self._refusals = ReportedRefusals()
        self._tools = ToolLines(folder)
        self._totals = Totals(seconds)
        self._net_told = False

    def __call__(self, event: Event) -> None:
        if self._verbosity < Verbosity.NORMAL:
            return
        self._tools(event)
        self.count(event)
        line = _warning(event) or self._line(event)
        if line is None:
            return
        parts = [(line, _colour(event))] if isinstance(line, str) else line
        if self._label is not None:
            parts = [(f"{self._label}: ", "dim"), *parts]
        note_parts((self._redact(text), colour) for text, colour in parts)

    def count(self, event: Event) -> None:
        """Take an event into the totals alone: one of a run that this one calls."""
        if self._verbosity >= Verbosity.NORMAL:
            self._totals(event)

    def _line(self, event: Event) -> str | list[Part] | None:
        match event:
            case SessionOpened():
                verb = "going on in" if event.resumed else "new"
                self._session = event.name or event.session_id
                return f"{verb} session {self._session} ({event.adapter})"
            case RunStarted():
                return self._run_started(event)
            case StepStarted():
                return f"[{event.path}/{self._total}] {event.kind}: {event.title}"
            case PromptBegun() if self._show_prompts:
                return _indented(event.prompt)
            case StepRecovered():
                return f"[{event.path}/{self._total}] recovered: {event.message}"
            case StepFinished():
                return self._step_finished(event)
            case RunFinished():
                return self._totals.lines(event, self._session) if self._label is None else None
            case PermissionDecided(allowed=False) | NetRefused():
                return self._refusal(event)
            case ToolFinished():
                return self._tool(event.call)
            case _:
                return self._detail(event) if self._verbosity >= Verbosity.VERBOSE else None

    def _tool(self, call: ToolCall) -> list[Part] | None:
        if self._refusals.covers(call):
            return None
        return self._tools.line(call, note_width(_LOG_WIDTH))

    def _detail(self, event: _Detail) -> str | None:
        if isinstance(event, _Silent):
            return None
        match event:
            case PermissionDecided():
                return f"  allowed: {event.kind} {event.target}"
            case ContextChanged():
                return f"  context: {event.what} ({event.tokens_before} -> {event.tokens_after})"
            case ModelRetried():
                return f"  the runtime tries again: {event.reason}"
            case TurnFinished():
                use = event.usage
                return f"  tokens: {use.input_tokens} in, {use.output_tokens} out"
            case _:
                assert_never(event)

    def _refusal(self, event: PermissionDecided | NetRefused) -> str | None:
        """Of the net only the first, with what would allow it; the result counts the others."""
        if isinstance(event, PermissionDecided):
            self._refusals.note(event)
            return f"  denied: {refused_line(event)}"
        told, self._net_told = self._net_told, True
        if told and self._verbosity < Verbosity.VERBOSE:
            return None
        return f"  {net_line(event)}"

    def _run_started(self, event: RunStarted) -> str | None:
        self._total = event.steps_total
        if not event.steps_done and not event.steps_changed:
            return None
        left = event.steps_total - event.steps_done - event.steps_changed
        changed = f", {event.steps_changed} changed" if event.steps_changed else ""
        skipped = f", {event.steps_skipped} skipped" if event.steps_skipped else ""
        done = event.steps_done - event.steps_skipped
        return f"{done} done{changed}{skipped}, {left} to run"

    def _step_finished(self, event: StepFinished) -> str:
        took = f" in {format_duration(event.seconds)}" if event.seconds is not None else ""
        if event.kind in ("ask", "pause", "consult") and event.status == StepStatus.DONE:
            said = f"answered: {one_line(event.response)}" if event.kind == "ask" else "passed"
            return f"[{event.path}/{self._total}] {said}"
        exit_status = "" if event.exit_status is None else f", exit {event.exit_status}"
        but = ""
        if event.tolerated:
            why = "" if event.exit_status else f", but failed ({event.tolerated})"
            but = f"{why}; the run goes on"
        return f"[{event.path}/{self._total}] {event.status}{took}{exit_status}{but}"


def _warning(event: Event) -> str | None:
    if isinstance(event, BudgetNearing):
        return f"warning: {nearing_line(event)}"
    return f"warning: {event.message}" if isinstance(event, Warned) else None


def _colour(event: Event) -> str | None:
    """Narration is dim, what is wrong is red or yellow, a step's heading stands out."""
    match event:
        case StepFinished(error=str()):
            return "red"
        case StepFinished(tolerated=str()) | Warned() | BudgetNearing() | StepRecovered():
            return "yellow"
        case PermissionDecided(allowed=False) | NetRefused():
            return "yellow"
        case StepStarted():
            return "bold"
    return "dim"


def _indented(text: str) -> str:
    return "\n".join(f"  > {line}".rstrip() for line in text.split("\n"))

"""Where the events of a run go: narration to stderr, answers or events to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, BinaryIO

from sdqctl.cli.output import is_terminal, note, write_json_line, write_line
from sdqctl.cli.runs.refusals import Denials, ToldRefusals, net_line, refused_line
from sdqctl.errors import StepError
from sdqctl.model.events import (
    ContextChanged,
    Event,
    MessageAdded,
    ModelRetried,
    NetRefused,
    PermissionDecided,
    PromptBegun,
    RunFinished,
    RunStarted,
    SessionOpened,
    StepFinished,
    StepRecovered,
    StepStarted,
    TextDelta,
    ToolFinished,
    TurnFinished,
    Warned,
)
from sdqctl.text.duration import format_duration

if TYPE_CHECKING:
    from sdqctl.cli.runs.markdown import MarkdownStream
    from sdqctl.model.views.run import SandboxView
    from sdqctl.store.redact import Redactor

Sink = Callable[[Event], None]


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
            self._stream().feed(event.text)
            sys.stdout.flush()
        elif isinstance(event, MessageAdded) and self._streamed:
            self._stream().finish()
            self._written, self._streamed = True, event.final
        elif isinstance(event, StepFinished) and event.kind == "prompt" and not event.error:
            if not self._streamed and self._live:
                self._stream().feed(event.response)
                self._stream().finish()
            elif not self._streamed:
                self._separate()
                write_line(event.response)
            self._streamed, self._written = False, True
            sys.stdout.flush()

    def _stream(self) -> MarkdownStream:
        from sdqctl.cli.runs.markdown import MarkdownStream

        if not self._streamed:
            self._separate()
            self._streamed = True
        if self._markdown is None:
            self._markdown = MarkdownStream()
        return self._markdown

    def _separate(self) -> None:
        if self._written:
            write_line()
            self._written = False


class Narrator:
    """Tells on stderr what happens, a line a step, without secrets: stderr is CI's log."""

    def __init__(
        self, verbosity: Verbosity, redact: Callable[[str], str], *, show_prompts: bool = False
    ) -> None:
        self._verbosity = verbosity
        self._redact = redact
        self._show_prompts = show_prompts
        self._session: str | None = None
        self._total = 0
        self._denials = Denials()
        self._refusals = ToldRefusals()
        self._net_told = False

    def __call__(self, event: Event) -> None:
        self._denials(event)
        line = self._line(event)
        if line is not None and self._verbosity >= Verbosity.NORMAL:
            note(self._redact(line))

    def _line(self, event: Event) -> str | None:
        match event:
            case SessionOpened():
                verb = "going on in" if event.resumed else "new"
                self._session = event.name or event.session_id
                return f"{verb} session {self._session} ({event.adapter})"
            case RunStarted():
                return self._run_started(event)
            case StepStarted():
                return f"[{event.position}/{self._total}] {event.kind}: {event.title}"
            case PromptBegun() if self._show_prompts:
                return _indented(event.prompt)
            case StepRecovered():
                return f"[{event.position}/{self._total}] recovered: {event.message}"
            case StepFinished():
                return self._step_finished(event)
            case RunFinished():
                return self._run_finished(event)
            case Warned():
                return f"warning: {event.message}"
            case PermissionDecided(allowed=False) | NetRefused():
                return self._refusal(event)
        return self._detail(event) if self._verbosity >= Verbosity.VERBOSE else None

    def _detail(self, event: Event) -> str | None:
        match event:
            case ToolFinished() if self._refusals.covers(event.call):
                return None
            case ToolFinished():
                outcome = "ok" if event.call.ok else "failed"
                return f"  tool: {event.call.name} {event.call.summary}: {outcome}"
            case PermissionDecided():
                return f"  allowed: {event.kind} {event.target}"
            case ContextChanged():
                return f"  context: {event.what} ({event.tokens_before} -> {event.tokens_after})"
            case ModelRetried():
                return f"  the runtime tries again: {event.reason}"
            case TurnFinished():
                use = event.usage
                return f"  tokens: {use.input_tokens} in, {use.output_tokens} out"
        return None

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
        return f"{event.steps_done} done{changed}, {left} to run"

    def _run_finished(self, event: RunFinished) -> str:
        done = f"run {event.status}: {event.steps_done} of {event.steps_total} steps done"
        return "\n".join([done + self._denials.count(), *self._denials.ways(self._session)])

    def _step_finished(self, event: StepFinished) -> str:
        took = f" in {format_duration(event.seconds)}" if event.seconds is not None else ""
        but = f", but failed ({event.tolerated}); the run goes on" if event.tolerated else ""
        return f"[{event.position}/{self._total}] {event.status}{took}{but}"


def _indented(text: str) -> str:
    return "\n".join(f"  > {line}".rstrip() for line in text.split("\n"))

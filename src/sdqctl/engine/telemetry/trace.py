"""Makes spans of the events of a run and of those that it calls: run, step, turn, tool."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry import context as ambient
from opentelemetry.trace import (
    Span,
    SpanKind,
    set_span_in_context,
)

from sdqctl.engine.telemetry import attributes as values
from sdqctl.engine.telemetry import ids
from sdqctl.engine.telemetry.attributes import ERROR, Values
from sdqctl.engine.telemetry.cut_off import CutOff, cut_off_in
from sdqctl.engine.telemetry.export import Export
from sdqctl.engine.telemetry.spans import Spans
from sdqctl.model.events import (
    Event,
    PromptBegun,
    RunFinished,
    RunStarted,
    SessionOpened,
    StepFinished,
    StepRecovered,
    StepStarted,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
)
from sdqctl.model.paths import is_within, outer_paths
from sdqctl.model.session import SessionRef

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from sdqctl.engine.context import RunContext, Sink

_LOG = logging.getLogger(__name__)
_BLOCKS = frozenset({"if", "for", "repeat"})
"""Kinds of steps whose spans hold those of the steps inside."""


class Trace(Spans):
    """The spans of an outermost run and of all that it calls, as this process drives them."""

    def __init__(self, export: Export, context: RunContext, *, contents: bool) -> None:
        super().__init__(export, context.setup.environment, contents=contents)
        self._emit, self._nest = context.emit, context.nest
        self._followers: list[_Follower] = []
        self.cut_off: dict[str, CutOff] = {}
        """The runs, by their ids, that another process was killed in."""

    def sink(self, context: RunContext, emit: Sink) -> Sink:
        """A sink for the events of one run, which hands them on."""
        follower = _Follower(self, context)
        self._followers.append(follower)

        def take(event: Event) -> None:
            emit(event)
            try:
                follower.take(event)
            except Exception as error:  # noqa: BLE001 - a trace is not worth a run
                _LOG.debug("no span of %s: %r", type(event).__name__, error)

        return take

    @contextmanager
    def nest(self, context: RunContext) -> Iterator[Sink]:
        """Has a run that is called shown as before, and makes its spans, too."""
        shown = nullcontext(self._emit) if self._nest is None else self._nest(context)
        with shown as emit:
            yield self.sink(context, emit)

    def close(self) -> None:
        """End what nothing ended: the run ended with an error that no event tells."""
        for follower in self._followers:
            with suppress(Exception):  # a trace is not worth a run
                follower.end("interrupted")


@dataclass
class _Turn:
    span: Span
    path: str
    token: Token[Context]


@dataclass
class _Follower:
    """Makes the spans of one run of its events."""

    trace: Trace
    context: RunContext
    run_id: str = ""
    span: Span | None = None
    steps: dict[str, Span] = field(default_factory=dict)
    """Those that have not ended, by their paths, in the order in which they began."""
    blocks: set[str] = field(default_factory=set)
    turns: dict[str, _Turn] = field(default_factory=dict)
    tools: dict[tuple[str, str], Span] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Follow one event."""
        match event:
            case SessionOpened():
                ref = SessionRef(event.adapter, event.session_id)
                found = cut_off_in(self.context.ledger, ref)
                self.trace.cut_off.update({one.run.id: one for one in found})
            case RunStarted():
                self._begin_run(event)
            case StepStarted():
                self._begin_step(event)
            case StepRecovered():
                self._note(event.path, {"sdqctl.step.recovered": event.action})
            case StepFinished():
                self._end_step(event)
            case RunFinished():
                self._end_run(event)
            case _:
                self._take_turn(event)

    def _take_turn(self, event: Event) -> None:
        match event:
            case PromptBegun():
                self._begin_turn(event)
            case TurnFinished() | TurnFailed():
                self._end_turn(event)
            case ToolStarted():
                self._begin_tool(event)
            case ToolFinished():
                self._end_tool(event)
            case _:
                pass

    def _begin_run(self, event: RunStarted) -> None:
        run = self.context.ledger.run(event.run_id)
        if run is None:
            return
        trace, caller = self.trace, self.context.caller
        if caller is None:
            trace.begin(run)
        self.run_id = run.id
        if (cut := trace.cut_off.pop(run.id, None)) is not None:
            cut.close(trace, self.context)
        parent = None
        if caller is not None:
            parent = ids.step_span(caller.run.id, trace.leg, caller.step.path)
        found = values.of_run(run)
        found["sdqctl.run.steps_done_before"] = event.steps_done
        span_id = ids.run_span(run.id, trace.leg)
        name = f"invoke_workflow {found['gen_ai.agent.name']}"
        self.span = trace.start(name, span_id, parent, found)

    def _begin_step(self, event: StepStarted) -> None:
        self._leave_blocks(event.path)
        found = values.of_step(event, event.attempt)
        if self.trace.contents:
            found["sdqctl.step.title"] = event.title
        span_id = ids.step_span(self.run_id, self.trace.leg, event.path)
        outer = next((p for p in reversed(outer_paths(event.path)) if p in self.steps), None)
        parent = ids.run_span(self.run_id, self.trace.leg)
        if outer is not None:
            parent = ids.step_span(self.run_id, self.trace.leg, outer)
        self.steps[event.path] = self.trace.start(f"step {event.kind}", span_id, parent, found)

    def _leave_blocks(self, path: str) -> None:
        """End the blocks that a step is not in."""
        for block in [each for each in reversed(self.steps) if each in self.blocks]:
            if not is_within(path, block):
                self.blocks.discard(block)
                self.trace.finish(self.steps.pop(block), {})

    def _note(self, path: str, found: Values) -> None:
        if (span := self.steps.get(path)) is not None:
            for name, value in found.items():
                span.set_attribute(name, value)

    def _end_step(self, event: StepFinished) -> None:
        self._end_turns("aborted", event.path)
        found = values.of_step_end(event)
        if event.kind in _BLOCKS and ERROR not in found:
            self.blocks.add(event.path)
            self._note(event.path, found)
        elif (span := self.steps.pop(event.path, None)) is not None:
            self.trace.finish(span, found, event.error)

    def _begin_turn(self, event: PromptBegun) -> None:
        step = self.context.ledger.step(event.run_id, event.path)
        if step is None:
            return
        self._end_turns("aborted", event.path)
        found = values.of_turn(self.context, step)
        if self.trace.contents:
            found["gen_ai.input.messages"] = values.message("user", self.trace.clean(event.prompt))
        parent = ids.step_span(self.run_id, self.trace.leg, event.path)
        name = f"invoke_agent {found['gen_ai.agent.name']}"
        span_id = ids.turn_span(event.turn_id)
        span = self.trace.start(name, span_id, parent, found, kind=SpanKind.CLIENT)
        # What sends the prompt hands it on to the runtime, as its parent.
        token = ambient.attach(set_span_in_context(span))
        self.turns[event.turn_id] = _Turn(span, event.path, token)

    def _end_turn(self, event: TurnFinished | TurnFailed) -> None:
        found = values.of_usage(event.usage)
        if self.trace.contents and event.response:
            answer = values.message("assistant", self.trace.clean(event.response))
            found["gen_ai.output.messages"] = answer
        why = None
        if isinstance(event, TurnFailed):
            found[ERROR], why = event.kind, event.message
        self._finish_turn(event.turn_id, found, why)

    def _finish_turn(self, turn_id: str, found: Values, why: str | None = None) -> None:
        turn = self.turns.pop(turn_id, None)
        if turn is None:
            return
        for key in [key for key in self.tools if key[0] == turn_id]:
            self.trace.finish(self.tools.pop(key), {ERROR: "interrupted"})
        ambient.detach(turn.token)
        self.trace.finish(turn.span, found, why)

    def _end_turns(self, error: str, path: str | None = None) -> None:
        """End the turns, of a step or all, whose end no event told."""
        for turn_id in [id_ for id_, turn in self.turns.items() if path in (None, turn.path)]:
            self._finish_turn(turn_id, {ERROR: error})

    def _begin_tool(self, event: ToolStarted) -> None:
        if event.turn_id not in self.turns:
            return
        call, turn = event.call, ids.turn_span(event.turn_id)
        found = values.of_tool(call)
        if self.trace.contents and call.summary:
            told = json.dumps({"summary": self.trace.clean(call.summary)})
            found["gen_ai.tool.call.arguments"] = told
        span_id = ids.tool_span(event.turn_id, call.id)
        span = self.trace.start(f"execute_tool {call.name}", span_id, turn, found)
        self.tools[event.turn_id, call.id] = span

    def _end_tool(self, event: ToolFinished) -> None:
        span = self.tools.pop((event.turn_id, event.call.id), None)
        if span is not None:
            self.trace.finish(span, values.of_tool_end(event.call))

    def _end_run(self, event: RunFinished) -> None:
        found: Values = {
            "sdqctl.run.status": event.status,
            "sdqctl.run.steps_done": event.steps_done,
            "sdqctl.run.steps_total": event.steps_total,
        }
        error = event.status if event.status in ("failed", "interrupted") else None
        if error is not None:
            found[ERROR] = error
        self.end(error, found, event.message)

    def end(self, error: str | None, found: Values | None = None, why: str | None = None) -> None:
        """End all that has not ended."""
        left: Values = {ERROR: error} if error is not None else {}
        self._end_turns(error or "aborted")
        while self.steps:
            path, span = self.steps.popitem()
            self.trace.finish(span, {} if path in self.blocks else left)
        if self.span is not None:
            self.trace.finish(self.span, left if found is None else found, why)
            self.span = None

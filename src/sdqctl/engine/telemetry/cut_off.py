"""What a process that was killed left open: the next one ends it, as far as the ledger has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sdqctl.engine.telemetry import attributes as values
from sdqctl.engine.telemetry import ids
from sdqctl.engine.telemetry.attributes import ERROR, Values
from sdqctl.model.paths import outer_paths
from sdqctl.model.run import RunRecord, RunStatus, StepRecord, StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.engine.telemetry.spans import Spans

_KILLED: Values = {ERROR: "killed"}


@dataclass(frozen=True)
class CutOff:
    """A run as it was found, that is said to go on in a process which is not there any more."""

    run: RunRecord
    steps: tuple[StepRecord, ...]

    def close(self, spans: Spans, context: RunContext) -> None:
        """Make the spans that the other process did not come to send: its run, and in it the
        blocks, steps and turns that had not ended. They end where the last sign of it was.
        """
        if self.run.parent_run is None:
            since = self.run.running_since
            spans.cut_leg = since.isoformat() if since is not None else ""
        if not spans.cut_leg:
            return
        since = datetime.fromisoformat(spans.cut_leg)
        steps = {s.path: s for s in self.steps if s.started_at and s.started_at >= since}
        signs = [s.completed_at or s.started_at or since for s in steps.values()]
        last = max(signs, default=since)
        if steps or self.run.parent_run is None:
            self._close_run(spans, max(since, self.run.started_at), last)
        for step in _open(steps):
            self._close_step(spans, context, step, steps, last)

    def _close_run(self, spans: Spans, since: datetime, last: datetime) -> None:
        run, parent = self.run, None
        if run.parent_run is not None and run.parent_path is not None:
            parent = ids.step_span(run.parent_run, spans.cut_leg, run.parent_path)
        found = values.of_run(run)
        name = f"invoke_workflow {found['gen_ai.agent.name']}"
        span_id = ids.run_span(run.id, spans.cut_leg)
        span = spans.start(name, span_id, parent, found, at=since)
        spans.finish(span, _KILLED, at=last)

    def _close_step(
        self,
        spans: Spans,
        context: RunContext,
        step: StepRecord,
        steps: dict[str, StepRecord],
        last: datetime,
    ) -> None:
        outer = next((path for path in reversed(outer_paths(step.path)) if path in steps), None)
        parent = ids.run_span(self.run.id, spans.cut_leg)
        if outer is not None:
            parent = ids.step_span(self.run.id, spans.cut_leg, outer)
        span_id = ids.step_span(self.run.id, spans.cut_leg, step.path)
        found = values.of_step(step, step.attempts)
        span = spans.start(f"step {step.kind}", span_id, parent, found, at=step.started_at)
        if step.turn_id and step.status is StepStatus.BEGUN:
            told = values.of_turn(context, step)
            name = f"invoke_agent {told['gen_ai.agent.name']}"
            turn_id = ids.turn_span(step.turn_id)
            turn = spans.start(name, turn_id, span_id, told, at=step.started_at)
            spans.finish(turn, _KILLED, at=last)
        spans.finish(span, _KILLED if step.status is StepStatus.BEGUN else {}, at=last)


def cut_off_in(ledger: Ledger, ref: SessionRef) -> Iterator[CutOff]:
    """The runs of a session that nothing drives, whose lock is had, but that did not end."""
    for run in ledger.runs_of(ref):
        if run.status is RunStatus.RUNNING and (steps := ledger.steps(run.id)):
            yield CutOff(run, tuple(steps))


def _open(steps: dict[str, StepRecord]) -> list[StepRecord]:
    """Those that were begun, and the blocks that the last of all were in; the outermost first."""
    begun = [path for path, step in steps.items() if step.status is StepStatus.BEGUN]
    newest = sorted((step.started_at, path) for path, step in steps.items() if step.started_at)
    last = [path for _, path in newest[-1:]]
    outer = {place for path in [*begun, *last] for place in outer_paths(path)}
    return [step for path, step in steps.items() if path in outer or path in begun]

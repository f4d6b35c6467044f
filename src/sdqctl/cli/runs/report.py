"""What a run shows: its events while it goes, its result at the end, its plan beforehand."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from sdqctl.cli.ci.log import groups_of
from sdqctl.cli.keyboard import unechoed
from sdqctl.cli.output import (
    counted,
    note,
    write,
    write_data,
    write_json,
    write_json_line,
    write_line,
)
from sdqctl.cli.runs.live import LiveArea, wants_live_area
from sdqctl.cli.runs.nearing import Nearing
from sdqctl.cli.runs.nested import CalledRows, NestedRuns
from sdqctl.cli.runs.progress import RunProgress
from sdqctl.cli.runs.refusals import Denials
from sdqctl.cli.runs.sinks import (
    Answers,
    EventLog,
    JsonLines,
    Narrator,
    Sandboxing,
    Sink,
    Verbosity,
    fan_out,
)
from sdqctl.closing import Closing
from sdqctl.errors import PausedError, SdqctlError
from sdqctl.model.run import StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.locks import other_holder
from sdqctl.store.redact import Redactor
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line
from sdqctl.workflow.source import PROMPTS_FILE

if TYPE_CHECKING:
    from sdqctl.cli.runs.options import Display
    from sdqctl.engine.context import RunContext
    from sdqctl.engine.target import Target
    from sdqctl.model.plan import Plan, PlannedStep
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.session import Holder
    from sdqctl.model.views.run import DeniedView, NearingView, ResultView, SandboxView
    from sdqctl.store.ledger import Ledger

_Result = TypeVar("_Result", bound="ResultView")


class Report(Closing):
    """The screens of one run. `emit` is the sink that the engine feeds."""

    def __init__(self, context: RunContext, display: Display) -> None:
        self._context = context
        self._display = display
        self._stack = ExitStack()
        self._denials = Denials()
        self._sandboxing = Sandboxing()
        self._nearing = Nearing()
        self._live: LiveArea | None = None
        workflow = context.workflow
        output = workflow.output
        self._format = display.output_format
        self._composed = output.format == "json" or bool(output.header or output.footer)
        verbose = display.verbose or workflow.debug is not None
        level = Verbosity.VERBOSE if verbose else Verbosity.NORMAL
        self._verbosity = Verbosity.QUIET if display.quiet else level
        narrator = self._narrator = self._narrate(None, context)
        # What goes to stdout comes first: in one pipe an answer stands before the end of its step.
        sinks: list[Sink] = [self._denials, self._sandboxing, self._nearing]
        if self._format == "jsonl":
            sinks.append(JsonLines())
        together = [*sinks]
        if self._format == "text" and not self._composed:
            sinks.append(Answers())
        sinks.append(narrator)
        if workflow.event_log is not None:
            together.append(log := self._event_log())
            sinks.append(log)
        if display.log is not None:
            together.append(display.log)
            sinks.append(display.log)
        self.nest = NestedRuns([*together, narrator.count], self._narrate)
        if not display.quiet and wants_live_area():
            progress = RunProgress(context.cwd)
            rows = CalledRows(progress)
            self._live = LiveArea(rows)
            self.nest.show_rows(self._live, rows)
            sinks.append(self._live.sink(progress.note))
        groups = groups_of(os.environ)
        if groups is not None:
            sinks = [groups.begin, *sinks, groups.finish]
            self._stack.callback(groups.end)
        self.emit = fan_out(*sinks)

    def _narrate(self, label: str | None, context: RunContext) -> Narrator:
        """What says on stderr what happens in a run; one that is called has a label."""
        return Narrator(
            self._verbosity,
            Redactor(os.environ),
            context.cwd,
            show_prompts=self._display.show_prompts,
            label=label,
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._stack.enter_context(unechoed())
            self._live.start()
            self._stack.callback(self._live.stop)
        return self

    def close(self) -> None:
        """Take the live rows away, and end what is open in the log."""
        self._stack.close()

    def begin(self) -> None:
        """Tell what is about to run, before the runtime is started."""
        workflow = self._context.workflow
        if workflow.path and not self._display.quiet:
            number, name = len(self._context.plan.steps), Path(workflow.path).name
            typed = name == PROMPTS_FILE
            note(
                counted(number, "prompt")
                if typed
                else f"{one_line(name)}: {counted(number, 'step')}"
            )

    def deliver(self, steps: Sequence[StepRecord]) -> None:
        """Print the document of a run whose steps are done, and write it to its file."""
        from sdqctl.engine.documents import document, write_document

        if self._format == "text" and self._composed:
            text = document(self._context, steps)
            if self._context.workflow.output.format == "json":
                write_data(text.encode("utf-8", "surrogatepass"))
            else:
                write(text)
        if path := write_document(self._context, steps):
            note(f"answers written to {path}")

    def finish(self, run: RunRecord) -> None:
        """Print the result of a completed run."""
        self._print_object(run)

    def fail(self, error: SdqctlError) -> None:
        """Print the result as far as it goes, and put the way on into the error's hint."""
        from sdqctl.engine.continuation import open_prompt
        from sdqctl.engine.target import driven_run

        target, ledger = self._context.target, self._context.ledger
        run = driven_run(target, ledger)
        if run is None:
            return
        self._print_object(run)
        if isinstance(error, PausedError) and self._is_consultation(run, error):
            error.hint = consult_hint(self._conversation_of(run), target.name)
        elif not run.status.unfinished:
            return
        elif run.is_open_prompt and open_prompt(target.ref, ledger) is None:
            again = on_session("resume", target.name, "--prompt PROMPT")
            error.hint = f"give the prompt again: `{again}`"
        else:
            add_way_on(error, target.name)

    def _is_consultation(self, run: RunRecord, error: PausedError) -> bool:
        steps = self._context.ledger.steps(run.id)
        return any(s.path == error.path and s.kind == "consult" for s in steps)

    def _conversation_of(self, run: RunRecord) -> str:
        """The name of the conversation that the run stands in, which may not be the first one."""
        names = self._context.ledger.session_names()
        ref = SessionRef(run.adapter, run.session_id)
        return names.get(ref, self._context.target.name)

    def _print_object(self, run: RunRecord) -> None:
        from sdqctl.model.views.run import ResultLine, ResultView

        if self._format in ("text", "none"):
            return
        ledger = self._context.ledger
        sandbox, nearing = self._sandboxing.entry(), self._nearing.entries()
        who = other_holder(self._context.setup.home, self._context.target.ref, os.getpid())
        parts = (ledger, run, who, self._denials.entries, sandbox, nearing)
        if self._format == "json":
            write_json(result_view(ResultView, *parts))
        else:
            write_json_line(result_view(ResultLine, *parts))

    def _event_log(self) -> EventLog:
        from sdqctl.engine.documents import event_log_stream

        stream = self._stack.enter_context(event_log_stream(self._context))
        return EventLog(stream, Redactor(os.environ))


def add_way_on(error: SdqctlError, name: str) -> None:
    """Tell in the error's hint which command goes on with the run, whole where it names flags."""

    def going_on(flags: str) -> str:
        return f"`{on_session('resume', name, f'--continue {flags}'.rstrip())}`"

    if error.hint and "`--" in error.hint:
        error.hint = re.sub("`(--[^`]*)`", lambda found: going_on(found[1]), error.hint)
        return
    way = f"go on with {going_on('')}"
    error.hint = f"{error.hint}; {way}" if error.hint else way


def consult_hint(conversation: str, name: str) -> str:
    """What to do at a CONSULT: the agent puts its questions in the conversation."""
    return (
        f"talk about it with `{on_session('resume', conversation)}`, "
        f"then go on with `{on_session('resume', name, '--continue')}`"
    )


def result_view(
    kind: type[_Result],
    ledger: Ledger,
    run: RunRecord,
    holder: Holder | None,
    denied: list[DeniedView],
    sandbox: SandboxView,
    nearing: list[NearingView],
) -> _Result:
    """The one object that `--format json` ends with, or the line of `jsonl` (docs/json.md);
    `holder` is who drives the run now.
    """
    from sdqctl.engine.results import answers, total_usage
    from sdqctl.model.views.run import FullRunView, SessionName
    from sdqctl.sessions.query import effective_tree
    from sdqctl.store.calls import steps_of_called, tree_of

    steps = ledger.steps(run.id)
    tree = effective_tree(tree_of(ledger, run), holder)
    return kind(
        session=SessionName(id=run.session_id, name=run.session_name),
        run=FullRunView.with_steps(tree, steps),
        status=tree.run.status,
        output="\n\n".join(answers(steps)),
        usage=total_usage([*steps, *steps_of_called(ledger, run.id)]),
        denied=denied,
        sandbox=sandbox,
        nearing=nearing,
    )


def print_plan(context: RunContext, output_format: str) -> None:
    """Show what a run would do, and what is done already."""
    from sdqctl.model.paths import outer_paths

    rows = _plan_rows(context.plan, context.target.run, context.ledger, context.start_at)
    _note_lost(context)
    if output_format != "text":
        _print_plan_as_json(context.target, rows)
        return
    for row in rows:
        deep = sum(2 + len(outer_paths(call)) for call in row.calls)
        inside = "  " * (len(outer_paths(row.step.path)) + deep)
        title = f"{row.step.kind}: {one_line(row.step.title)}"
        write_line(f"{inside}{row.step.path:>4}  {row.state:<8} {title}")
    states = Counter(row.state for row in rows)
    more = "".join(f", {states[name]} {name}" for name in ("changed", "skipped") if states[name])
    note(f"{states['done']} done{more}, {states['to run']} to run; nothing was run (--dry-run)")


def _note_lost(context: RunContext) -> None:
    """Name the steps that were begun and have no place in the plan any more."""
    from sdqctl.engine.matching import match_plan

    run = context.target.run
    records = context.ledger.steps(run.id) if run is not None else []
    for record in match_plan(context.plan, records, decides=context.start_at is None).lost:
        note(
            f"step {record.path} ({one_line(record.title)}) was begun and is no longer in the "
            "workflow as it was: what is half done of it is settled first (--on-interrupted)"
        )


@dataclass(frozen=True)
class _PlanRow:
    """A step, what a run would do about it, and the CALLs in which it lies."""

    step: PlannedStep
    state: str
    calls: tuple[str, ...]


def _plan_rows(
    plan: Plan,
    run: RunRecord | None,
    ledger: Ledger,
    start_at: str | None = None,
    calls: tuple[str, ...] = (),
) -> list[_PlanRow]:
    """The steps of a plan, each with those of what it calls below it."""
    from sdqctl.engine.matching import match_plan, shown_steps
    from sdqctl.model.paths import path_key
    from sdqctl.model.workflow import CallStep
    from sdqctl.store.calls import called_at
    from sdqctl.workflow.plan import build_plan

    records = ledger.steps(run.id) if run else []
    match = match_plan(plan, records, decides=start_at is None)
    first = path_key(start_at or "1")
    passed_over = {match.moved.get(r.path) for r in records if r.status is StepStatus.SKIPPED}
    done = {p for p in match.done if start_at is None or path_key(p) < first} - passed_over
    rows = []
    for step in shown_steps(plan.steps, match):
        state = "changed" if step.path in match.changed else "to run"
        over = start_at is None and step.path in passed_over
        state = "skipped" if path_key(step.path) < first or over else state
        state = "done" if step.path in done else state
        rows.append(_PlanRow(step, state, calls))
        if isinstance(step.action, CallStep):
            before = {new: old for old, new in match.moved.items()}.get(step.path)
            called = called_at(ledger, run.id, before) if run and before else None
            inner = build_plan(plan.workflow.called_by(step.action))
            rows += _plan_rows(inner, called, ledger, calls=(*calls, step.path))
    return rows


def _print_plan_as_json(target: Target, rows: list[_PlanRow]) -> None:
    from sdqctl.model.views.run import PlanSessionView, PlanStepView, PlanView

    session = PlanSessionView(id=target.ref.id, name=target.name, exists=target.exists)
    steps = [
        PlanStepView(
            position=row.step.position,
            path=row.step.path,
            cycle=row.step.cycle,
            kind=row.step.kind,
            title=row.step.title,
            state=row.state,
            calls=row.calls,
        )
        for row in rows
    ]
    write_json(PlanView(session=session, steps=steps))

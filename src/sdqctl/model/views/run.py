"""Runs as JSON shows them: what they did, what they ended with, what they would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Self

import msgspec

from sdqctl.model.run import (
    BatchOutcome,
    CalledRun,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
)
from sdqctl.model.session import Usage


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run: its last attempt."""

    position: int
    """The number of the step of the whole list that it lies in, from 1."""
    path: str
    """Where it stands in the plan as it unfolded: `4`, `5.then.2`, `6[3].1`."""
    cycle: int
    """Which round of the workflow, from 1."""
    kind: str
    """`prompt`, `run`, `pause`, ..."""
    title: str
    """Its first line."""
    status: StepStatus
    attempts: int
    """How often it was begun."""
    response: str | None
    """The answer, or what a command or check wrote."""
    started_at: datetime | None
    completed_at: datetime | None
    usage: Usage
    error: str | None
    """Why it failed."""
    exit_status: int | None
    """Of a command."""

    @classmethod
    def of(cls, step: StepRecord) -> Self:
        """The view of a step in the ledger."""
        return cls(**{name: getattr(step, name) for name in cls.__struct_fields__})


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """The question at which a run waits for a human."""

    name: str
    question: str
    choices: tuple[str, ...]
    """Empty: any text is an answer."""
    default: str | None = None
    """What the answer is once `until` has come."""
    after: float | None = None
    """Seconds from the question to that."""
    until: datetime | None = None


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a workflow, without its steps."""

    id: str
    workflow: str | None
    """The file's name without its end; null for a single prompt."""
    status: RunStatus
    steps_done: int
    steps_total: int
    message: str | None
    """Why it stopped."""
    started_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, run: RunRecord) -> Self:
        """The view of a run in the ledger."""
        return cls(**{name: getattr(run, name) for name in cls.__struct_fields__})


class SessionName(msgspec.Struct, frozen=True, kw_only=True):
    """Which session."""

    id: str
    name: str | None


class CalledRunView(RunView, frozen=True, kw_only=True):
    """A run that another one calls (CALL), without its steps."""

    parent: str
    """The run that calls it."""
    path: str
    """The step of that run."""
    adapter: str
    session: SessionName
    """`sessions show` has its steps."""

    @classmethod
    def of_tree(cls, tree: CalledRun) -> Iterator[Self]:
        """The views of the runs that a run calls, each followed by those that it calls itself."""
        for one in tree.called:
            run = one.run
            yield cls(
                **{name: getattr(run, name) for name in RunView.__struct_fields__},
                parent=run.parent_run or "",
                path=run.parent_path or "",
                adapter=run.adapter,
                session=SessionName(id=run.session_id, name=run.session_name),
            )
            yield from cls.of_tree(one)


class FullRunView(RunView, frozen=True, kw_only=True):
    """One execution of a workflow, with its steps."""

    steps: list[StepView]
    gate: GateView | None = None
    """The question at which it waits, or what it calls: `sdqctl resume NAME --answer VALUE`."""
    parent: str | None = None
    """The run that calls it."""
    called: list[CalledRunView] = []
    """The runs that its CALLs made, each followed by those that it calls itself."""

    @classmethod
    def with_steps(cls, tree: CalledRun, steps: Sequence[StepRecord]) -> Self:
        """The view of a run, with what it calls, and its steps in the ledger."""
        run, gate = tree.run, tree.open_gate
        return cls(
            **{name: getattr(run, name) for name in RunView.__struct_fields__},
            steps=[StepView.of(step) for step in steps],
            gate=None if gate is None else gate_view(gate),
            parent=run.parent_run,
            called=list(CalledRunView.of_tree(tree)),
        )


def gate_view(step: StepRecord) -> GateView | None:
    """The gate that a step is; None for what cannot be read."""
    try:
        gate = msgspec.json.decode(step.value or "null", type=GateView | None)
    except msgspec.MsgspecError:
        return None
    if gate is None or gate.after is None or step.started_at is None:
        return gate
    return msgspec.structs.replace(gate, until=step.started_at + timedelta(seconds=gate.after))


class DeniedView(msgspec.Struct, frozen=True, kw_only=True):
    """A tool request that was refused."""

    kind: str
    """`shell`, `read`, `write`, `url`, ..."""
    target: str
    """The command, path or address."""
    reason: str
    """What the agent was told."""
    why: str
    """The reason in a few words, for you."""
    by: str
    """What decided: a rule as it is written, `mode NAME`, ..."""
    rules: tuple[str, ...]
    """The rules that together would allow it."""


class RefusedPathView(msgspec.Struct, frozen=True, kw_only=True):
    """A path that the sandbox kept a tool or a command from."""

    path: str
    access: str
    """`read` or `write`."""
    hint: str
    """The setting that would allow it."""


class SandboxView(msgspec.Struct, frozen=True, kw_only=True):
    """Which net of the operating system held, and what it refused."""

    kind: str
    """`landlock`, `bubblewrap`, `runtime` or `none`."""
    refusals: int
    """How often it refused something."""
    refused: list[RefusedPathView]
    """Each path once."""


class NearingView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget of which as much is used as `--warn-at` says."""

    budget: str
    """The option: `max-tokens`, `max-cost`, `max-time`, `max-steps`."""
    used: float
    """When that was reported; of time in seconds."""
    limit: float


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run ended with, also one that failed or paused."""

    session: SessionName
    run: FullRunView
    status: RunStatus
    """The run's."""
    output: str
    """All answers, a blank line between them."""
    usage: Usage
    """Of all steps, also of the runs that it calls."""
    denied: list[DeniedView]
    """The tool requests that were refused."""
    sandbox: SandboxView
    nearing: list[NearingView]
    """The budgets that came near."""


class ResultLine(ResultView, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """The last line of `--format jsonl`: the result, with a `type`."""


class DetachedView(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on in the background."""

    session: SessionName
    adapter: str
    run: str
    """The run's id."""
    pid: int
    """The process that does it."""
    log: str
    """The file of its events: a line each, for you alone."""


class BatchErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Why one run of several failed."""

    code: str
    """As in an error."""
    message: str


class BatchRunView(msgspec.Struct, frozen=True, kw_only=True):
    """One run of several."""

    name: str
    """The component, or the workflow's name."""
    session: SessionName
    status: BatchOutcome
    run: RunView | None
    """Null when it was not started."""
    seconds: float
    """How long it took this time."""
    denied: list[DeniedView]
    error: BatchErrorView | None


class PlanSessionView(SessionName, frozen=True, kw_only=True):
    """The session that a run would be in."""

    exists: bool


class PlanStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step, and what a run would do about it."""

    position: int
    path: str
    cycle: int
    kind: str
    title: str
    state: str
    """`done`, `changed`, `skipped` or `to run`."""
    calls: tuple[str, ...] = ()
    """The paths of the CALLs in which it lies, the outermost first."""


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do."""

    session: PlanSessionView
    steps: list[PlanStepView]

"""What a run stands on: what was decided before anything started, and what lives while it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdqctl.engine.component import component_variables
from sdqctl.engine.scope import Scope
from sdqctl.engine.variables import base_variables, cycle_variables, layered
from sdqctl.model.events import Event, StepRecovered
from sdqctl.model.options import OnInterrupted
from sdqctl.model.run import RunRecord, StepRecord, StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.workflow.references import Roots

if TYPE_CHECKING:
    from sdqctl.engine.budget import Budget
    from sdqctl.engine.command.background import Background
    from sdqctl.engine.confinement import Confinement
    from sdqctl.engine.kept_text import KeptText
    from sdqctl.engine.live_session import LiveSession
    from sdqctl.engine.pool import Runtimes
    from sdqctl.engine.setup import Setup
    from sdqctl.engine.target import Choose, Target
    from sdqctl.engine.tree import Tree
    from sdqctl.model.options import RunOptions
    from sdqctl.model.plan import Plan, PlannedStep
    from sdqctl.model.sandbox import Sandbox
    from sdqctl.model.workflow import AskStep, Workflow
    from sdqctl.policy.ask import Question
    from sdqctl.sandbox.nets import Nets
    from sdqctl.store.evidence import CommandFolders
    from sdqctl.store.ledger import Ledger

Sink = Callable[[Event], None]
"""Takes the events of a run (docs/events.md), in the thread and at the moment they happen."""
Deliver = Callable[[Sequence[StepRecord]], object]
"""Writes what a run's answers make, from its steps. Raises StoreError or WorkflowError."""


Nest = Callable[["RunContext"], AbstractContextManager[Sink]]
"""What takes the events of a run that is called, while it goes."""


AfterStep = Callable[[SessionRef], Awaitable[None]]
"""What is done after each step of a run that is settled now, given the session it stands in.
Raises BusyError and StoreError, which end the run.
"""
Gate = Callable[["AskStep", Callable[[], str | None]], str | None]
"""Asks a human what an ASK asks; None: nothing was said. What it is handed gives the answer that
another process gave meanwhile; it is to be called from time to time.
"""


def ignore(event: Event) -> None:
    """The sink of who wants no events."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """What calls a run: a step of another one, for an item of a list or not."""

    run: LiveRun
    step: PlannedStep
    label: str = ""
    """What the item is, in a few words."""
    item: str | None = None
    """What the item is known by."""
    total: int = 1
    """How many runs the step's list calls."""

    @property
    def columns(self) -> Mapping[str, str | None]:
        """What the ledger keeps of it with the run that is called."""
        return {"parent_run": self.run.id, "parent_path": self.step.path, "item": self.item}


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run with everything about it decided, and nothing of it begun. `prepare` makes it."""

    setup: Setup
    """Of the folder that the agent works in."""
    ledger: Ledger
    plan: Plan
    options: RunOptions
    """Whole: with what the workflow and the configuration have a say in."""
    cwd: Path
    target: Target
    """Where it goes, as far as that is known without the session's lock."""
    choose: Choose
    """Chooses the target again under its lock, from the session that is there by then, or none."""
    confinement: Confinement
    start_at: str | None = None
    """The path of the first step that is wanted; None: the first that is not done."""
    literal: bool = False
    """Whether the prompts hold no template variables: they were typed, not written in a file."""
    text: KeptText | None = None
    """The workflow's text, where no file of the user's holds it."""
    question: Question | None = None
    """Asks a human about tools that the policy would refuse."""
    gate: Gate | None = None
    """Asks a human what an ASK asks; None: nobody is there."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The values of INPUT by their names."""
    caller: Caller | None = None
    """What calls it, of a run that is called."""
    emit: Sink = ignore
    after_step: AfterStep | None = None
    nest: Nest | None = None
    """Shows the runs that this one calls; None: their events go where its own go."""

    @property
    def workflow(self) -> Workflow:
        """What the plan was made of."""
        return self.plan.workflow

    @cached_property
    def roots(self) -> Roots:
        """Where the files lie that the workflow names."""
        return Roots.of(self.workflow, self.cwd)

    @cached_property
    def run_variables(self) -> Mapping[str, str]:
        """All template variables of the run but those of its cycles."""
        own = component_variables(self.options)
        return layered(own, base_variables(self.workflow, self.cwd, self.target.name))

    def variables_of(self, step: PlannedStep) -> Mapping[str, str]:
        """The template variables of a step."""
        return cycle_variables({} if self.literal else self.run_variables, self.plan, step)


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run that is recorded and whose session is open: what its steps act on."""

    context: RunContext
    record: RunRecord
    """As it was when its session was opened."""
    connection: LiveSession
    budget: Budget
    background: Background
    commands: CommandFolders
    sandbox: Sandbox
    """The net of RUN commands."""
    tree: Tree
    scope: Scope = field(default_factory=Scope)
    """The values at the place that the run has come to."""
    runtimes: Runtimes
    nets: Nets
    call: Callable[[RunContext], Awaitable[RunRecord]]
    """Does a run that a step of this one calls."""

    @property
    def id(self) -> str:
        """The run's id in the ledger."""
        return self.record.id

    @property
    def on_interrupted(self) -> OnInterrupted:
        """What is done about a step that was cut off."""
        return self.context.options.on_interrupted or OnInterrupted.CONTINUE

    def begin(
        self,
        step: PlannedStep,
        *,
        prompt: str | None = None,
        command: str | None = None,
        value: str | None = None,
    ) -> StepRecord:
        """Record that a step is about to act."""
        record = self.context.ledger.begin_step(
            self.id,
            path=step.path,
            cycle=step.cycle,
            kind=step.kind,
            title=step.title,
            digest=step.digest,
            session_id=self.connection.session.info.id,
            prompt=prompt,
            command=command,
            value=value,
            snapshot_before=self.tree.now,
            seen=self.tree.seen,
        )
        self.tree.begun_here(record)
        return record

    async def look(self, step: PlannedStep | StepRecord) -> None:
        """Look at the tree after a step that may have changed it, before its end is recorded."""
        await self.tree.take(self.connection.session.info.id, step.path)

    def finish(
        self,
        step: PlannedStep,
        status: StepStatus,
        *,
        response: str | None = None,
        error: str | None = None,
        exit_status: int | None = None,
        value: str | None = None,
    ) -> StepRecord:
        """Record how it ended, with the tree as it was last seen."""
        return self.context.ledger.finish_step(
            self.id,
            step.path,
            status,
            response=response,
            error=error,
            exit_status=exit_status,
            value=value,
            snapshot=self.tree.now,
        )

    def recovered(self, step: PlannedStep, action: str, message: str) -> None:
        """Say what was decided about a step that an earlier process had begun."""
        self.context.emit(
            StepRecovered(
                run_id=self.id,
                position=step.position,
                path=step.path,
                action=action,
                message=message,
            )
        )

"""What the steps of a run stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdqctl.engine.budget import Budget
from sdqctl.engine.command.background import Background
from sdqctl.engine.live_session import LiveSession
from sdqctl.engine.options import RunOptions
from sdqctl.model.events import Event, StepRecovered
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.sandbox import Sandbox
from sdqctl.model.workflow import Plan, PlannedStep
from sdqctl.store.evidence import CommandFolders
from sdqctl.store.ledger import Ledger
from sdqctl.workflow.render import Roots

Sink = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """One run, as its steps see it. `variables` gives the template variables of a step's cycle."""

    run_id: str
    session_name: str
    plan: Plan
    ledger: Ledger
    connection: LiveSession
    options: RunOptions
    budget: Budget
    roots: Roots
    cwd: Path
    environment: Mapping[str, str]
    variables: Callable[[PlannedStep], Mapping[str, str]]
    background: Background
    commands: CommandFolders
    sandbox: Sandbox
    """The net of RUN commands."""
    emit: Sink

    def begin(
        self, step: PlannedStep, *, prompt: str | None = None, command: str | None = None
    ) -> StepRecord:
        """Record that a step is about to act."""
        return self.ledger.begin_step(
            self.run_id,
            position=step.position,
            cycle=step.cycle,
            kind=step.kind,
            title=step.title,
            digest=step.digest,
            session_id=self.connection.session.info.id,
            prompt=prompt,
            command=command,
        )

    def finish(
        self,
        step: PlannedStep,
        status: StepStatus,
        *,
        response: str | None = None,
        error: str | None = None,
        exit_status: int | None = None,
    ) -> StepRecord:
        """Record how it ended."""
        return self.ledger.finish_step(
            self.run_id,
            step.position,
            status,
            response=response,
            error=error,
            exit_status=exit_status,
        )

    def recovered(self, step: PlannedStep, action: str, message: str) -> None:
        """Say what was decided about a step that an earlier process had begun."""
        self.emit(
            StepRecovered(
                run_id=self.run_id, position=step.position, action=action, message=message
            )
        )

"""Telling the user's own programs what becomes of a run: the setting `on_event`.

Each notice is handed to a process of its own, which lives on when the run's ends; a run never waits
for one. So many may be at work at once; a notice more is left out, which is said once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from sdqctl.model.events import Event, RunFinished, RunStarted, Warned
from sdqctl.model.run import RunStatus
from sdqctl.policy.ask import Question, RememberedAnswers, Reply
from sdqctl.store.redact import Redactor

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.model.tools import ToolDecision, ToolRequest

_MOST = 16
_EVENTS = {
    RunStatus.COMPLETED: "done",
    RunStatus.FAILED: "failed",
    RunStatus.PAUSED: "paused",
    RunStatus.INTERRUPTED: "interrupted",
}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a program is given on its stdin, or an address by POST, as JSON."""

    event: str
    """`done`, `failed`, `paused`, `interrupted` or `needs-permission`."""
    session: str
    adapter: str
    workflow: str | None
    run: str | None
    message: str | None
    """Why it stopped, what is asked, or what a tool wants to do."""
    steps_done: int | None = None
    steps_total: int | None = None
    cwd: str
    at: datetime


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that tells is handed."""

    target: str
    notice: Notice


def noticed(context: RunContext) -> RunContext:
    """The run, with those told that `on_event` names, if any."""
    targets = context.setup.settings.on_event
    if not targets:
        return context
    notices = _Notices(context, targets)
    question = context.question
    if question is not None and not isinstance(question, RememberedAnswers):
        question = notices.asking(question)
    return replace(context, emit=notices, question=question)


@dataclass
class _Notices:
    context: RunContext
    targets: tuple[str, ...]
    run: RunStarted | None = None
    left_out: bool = False
    at_work: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._redact = Redactor(self.context.setup.environment)

    def __call__(self, event: Event) -> None:
        """Hand an event on, and tell what the run came to; those that it calls are its own."""
        self.context.emit(event)
        if isinstance(event, RunStarted) and self.run is None:
            self.run = event
        if isinstance(event, RunFinished) and self.run and event.run_id == self.run.run_id:
            what = _EVENTS.get(RunStatus(event.status), event.status)
            self._tell(what, event.message, (event.steps_done, event.steps_total))

    def asking(self, question: Question) -> Question:
        """The question, of which others are told before it is asked."""

        async def ask(request: ToolRequest, decision: ToolDecision) -> Reply:
            self._tell("needs-permission", f"{request.kind}: {request.target}")
            return await question(request, decision)

        return ask

    def _tell(
        self, event: str, message: str | None, steps: tuple[int | None, int | None] = (None, None)
    ) -> None:
        target, run = self.context.target, self.run
        notice = Notice(
            event=event,
            session=target.name,
            adapter=target.ref.adapter,
            workflow=run.workflow if run is not None else None,
            run=run.run_id if run is not None else None,
            message=None if message is None else self._redact(message),
            steps_done=steps[0],
            steps_total=steps[1],
            cwd=str(self.context.cwd),
            at=datetime.now(UTC),
        )
        for one in self.targets:
            self._hand_over(Telling(target=one, notice=notice))

    def _hand_over(self, telling: Telling) -> None:
        self.at_work = [each for each in self.at_work if each.poll() is None]
        if len(self.at_work) >= _MOST:
            self._leave_out(f"{_MOST} are at work")
            return
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sdqctl.engine.telling"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=os.path.sep,
                env=dict(self.context.setup.environment),
            )
            assert process.stdin is not None, "it is a pipe"
            with process.stdin as stream:
                stream.write(msgspec.json.encode(telling))
        except OSError as error:
            self._leave_out(error.strerror or str(error))
            return
        self.at_work.append(process)

    def _leave_out(self, why: str) -> None:
        if not self.left_out:
            self.left_out = True
            self.context.emit(Warned(message=f"on_event is not told of everything: {why}"))

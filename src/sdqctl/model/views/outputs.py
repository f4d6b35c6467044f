"""Which type each command writes with `--format json`."""

from __future__ import annotations

from typing import Any

from sdqctl.model.events import Event
from sdqctl.model.views.agents import AgentSessionView, AgentView, CheckView
from sdqctl.model.views.doctor import PartView
from sdqctl.model.views.failure import ErrorView
from sdqctl.model.views.queue import QueuedRunView, TagView
from sdqctl.model.views.run import BatchRunView, DetachedView, PlanView, ResultLine, ResultView
from sdqctl.model.views.session import (
    DeletionView,
    FullSessionView,
    HitView,
    SessionLine,
    SessionView,
    TrashView,
    TurnLine,
    UsageView,
    WaitingView,
)
from sdqctl.model.views.status import StatusView
from sdqctl.model.views.trust import DistrustView, TrustedView, TrustView
from sdqctl.model.views.workflow import AnswersView, FindingView, PromptView
from sdqctl.model.views.workspace import WorktreeView

OUTPUTS: dict[str, Any] = {
    "run": ResultView,
    "run --dry-run": PlanView,
    "run (OUTPUT-FORMAT json)": AnswersView,
    "resume": ResultView,
    "run --detach": DetachedView,
    "resume --detach": DetachedView,
    "watch": ResultView,
    "apply": list[BatchRunView],
    "run (several workflows)": list[BatchRunView],
    "sessions list": list[SessionView],
    "sessions answer": WaitingView,
    "sessions answer (at an ASK)": DetachedView,
    "sessions show": FullSessionView,
    "sessions export": FullSessionView,
    "sessions search": list[HitView],
    "sessions usage": list[UsageView],
    "sessions delete": DeletionView,
    "sessions cleanup": DeletionView,
    "sessions trash list": list[TrashView],
    "worktrees list": list[WorktreeView],
    "status": StatusView,
    "doctor": list[PartView],
    "validate": list[FindingView],
    "render": list[PromptView],
    "queue list": list[QueuedRunView],
    "queue show": QueuedRunView,
    "queue status": list[TagView],
    "agents list": list[AgentView],
    "agents info": AgentView,
    "agents check": CheckView,
    "agents sessions": list[AgentSessionView],
    "trust": TrustView,
    "trust --list": list[TrustedView],
    "trust --remove": DistrustView,
    "an error": ErrorView,
}
"""What is typed -> the type of what stands on stdout, or for an error on stderr."""
LINES: dict[str, Any] = {
    "run --format jsonl": Event | ResultLine,
    "resume --format jsonl": Event | ResultLine,
    "watch --format jsonl": Event | ResultLine,
    "sessions export --format jsonl": SessionLine | TurnLine,
}
"""What is typed -> the type of each line on stdout."""

"""Which type each command writes with `--format json`."""

from __future__ import annotations

from typing import Any

from sdqctl.model.views.failure import ErrorView
from sdqctl.model.views.run import BatchRunView, PlanView, ResultView
from sdqctl.model.views.session import (
    DeletionView,
    FullSessionView,
    HitView,
    SessionView,
    TrashView,
    UsageView,
)
from sdqctl.model.views.status import StatusView
from sdqctl.model.views.trust import DistrustView, TrustedView, TrustView
from sdqctl.model.views.workflow import AnswersView, FindingView, PromptView

OUTPUTS: dict[str, Any] = {
    "run": ResultView,
    "run --dry-run": PlanView,
    "run (several workflows)": list[BatchRunView],
    "run (OUTPUT-FORMAT json)": AnswersView,
    "resume": ResultView,
    "apply": list[BatchRunView],
    "sessions list": list[SessionView],
    "sessions show": FullSessionView,
    "sessions export": FullSessionView,
    "sessions search": list[HitView],
    "sessions usage": list[UsageView],
    "sessions delete": DeletionView,
    "sessions cleanup": DeletionView,
    "sessions trash list": list[TrashView],
    "status": StatusView,
    "validate": list[FindingView],
    "render": list[PromptView],
    "trust": TrustView,
    "trust --list": list[TrustedView],
    "trust --remove": DistrustView,
    "an error": ErrorView,
}
"""What is typed -> the type of what stands on stdout, or for an error on stderr."""

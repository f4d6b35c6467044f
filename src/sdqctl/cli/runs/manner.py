"""How several runs are done together."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdqctl.cli.ci.options import Job
from sdqctl.cli.runs.options import Display


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How many runs are done together."""

    display: Display
    parallel: int = 1
    keep_going: bool = False
    queue: str | None = None
    """The queue that they go into instead; empty: the configured one."""
    job: Job = field(default_factory=Job)
    """What is reported of them as of a job of CI."""
    tag: str = "default"
    priority: int = 0
    max_tokens: int | None = None
    """What all of them may use together, in the queue."""
    max_cost: float | None = None

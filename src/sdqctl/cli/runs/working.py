"""Doing the runs of a queue until told to stop. Knows no click."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, note
from sdqctl.cli.shared import open_store
from sdqctl.cli.signals import interruptible
from sdqctl.errors import InterruptedRunError, UsageError
from sdqctl.model.modes import MODES, is_known_mode
from sdqctl.text.suggest import meant
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@dataclass(frozen=True, kw_only=True)
class WorkRequest:
    """What `worker` was asked for."""

    queue: str | None
    mode: str
    allow_tools: tuple[str, ...]
    deny_tools: tuple[str, ...]
    allow_all_tools: bool
    sandbox: str | None
    parallel: int
    tags: tuple[str, ...] | None
    until_idle: bool
    take_over: float
    repositories: Mapping[str, Path]
    quiet: bool


def work_for(app: App, request: WorkRequest) -> None:
    """Do runs until a signal, or until nothing is left where that was asked for.

    Raises UsageError, SharedStoreError, StoreUnreachableError when it cannot begin.
    """
    from sdqctl.fleet.preparation import Policy
    from sdqctl.fleet.queue import make_queue
    from sdqctl.fleet.worker import Manner, Worker

    mode = request.mode
    if not is_known_mode(mode):
        raise UsageError(f"--mode {mode}: there is no such mode", hint=meant(mode, MODES, "modes"))
    policy = Policy(
        mode=mode,
        allow_tools=request.allow_tools,
        deny_tools=request.deny_tools,
        allow_all_tools=request.allow_all_tools,
        sandbox=request.sandbox,
    )
    manner = Manner(
        policy=policy,
        parallel=request.parallel,
        tags=request.tags,
        until_idle=request.until_idle,
        take_over=request.take_over,
        repositories=request.repositories,
    )

    def say(text: str) -> None:
        if not request.quiet:
            note(one_line(text))

    with open_store(app, request.queue, "--queue") as store:
        make_queue(store.database)
    worker = Worker(app, app, store.address, manner, say)
    with contextlib.suppress(InterruptedRunError):  # that is how it is told to stop
        interruptible(worker.work())
    say(f"{counted(worker.done, 'run')} ended here")

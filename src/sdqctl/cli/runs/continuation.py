"""What `resume` was asked for, and the run that goes on in a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.cli.runs.launch import read_workflow
from sdqctl.model.session import SessionRef

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.engine.context import RunContext
    from sdqctl.model.options import RunOptions
    from sdqctl.model.session import SessionInfo
    from sdqctl.policy.ask import Question
    from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class ResumeRequest:
    """What `resume` was asked for."""

    session: str | None
    """None: the last one of the project, or one that the user chooses."""
    options: RunOptions
    display: Display
    last: bool = False
    prompt: str | None = None
    continues: bool = False
    workflow: Path | None = None
    answer: str | None = None
    """What is said at the gate at which the run waits."""
    comment: str | None = None
    store: str | None = None
    """The shared store that has it; empty: the configured one."""


def continuation(
    app: App,
    request: ResumeRequest,
    info: SessionInfo,
    ledger: Ledger,
    question: Question | None,
) -> RunContext:
    """The session's last run, or the workflow that was named, ready to go on; a prompt that was
    sent by itself, too.
    """
    from sdqctl.engine.continuation import (
        open_prompt,
        prepare_continuation,
        prepare_step,
        recorded_path,
        same_step,
    )

    ref = SessionRef(info.adapter, info.id)
    single = open_prompt(ref, ledger) if request.workflow is None else None
    prepare: Callable[..., RunContext]
    if single is not None:
        prepare = partial(prepare_step, same_step(single, ledger), run=single)
    else:
        path = request.workflow or recorded_path(info, ledger)
        prepare = partial(prepare_continuation, read_workflow(path, request.display))
    context = prepare(info, request.options, app, ledger, question=question)
    if request.answer is not None and not request.display.dry_run:
        from sdqctl.engine.gates import answer_gate

        answer_gate(context, request.answer, request.comment)
    return context

"""Opens the session of a run under its lock, records the run, and lets the runner drive it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.adapters.base import Adapter, AdapterConfig, SessionArchive
from sdqctl.conversation.render import Roots
from sdqctl.engine.background import Background
from sdqctl.engine.commands import commands_folder
from sdqctl.engine.connection import Connection
from sdqctl.engine.options import RunOptions, encode_options
from sdqctl.engine.runner import Job, Runner
from sdqctl.engine.steps import StepContext
from sdqctl.engine.turns import Sink
from sdqctl.errors import (
    RuntimeDiedError,
    SessionBusyError,
    SessionExistsError,
    SessionNotFoundError,
)
from sdqctl.model.events import SessionOpened, Warned
from sdqctl.model.run import RunRecord
from sdqctl.model.session import SessionInfo, SessionRef, session_id_for
from sdqctl.model.workflow import Plan, PlannedStep
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock


@dataclass(frozen=True, kw_only=True)
class Target:
    """The session a run goes to. `run` is the unfinished run to go on with."""

    ref: SessionRef
    name: str
    exists: bool
    run: RunRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Everything a run needs, decided before anything is started."""

    target: Target
    plan: Plan
    options: RunOptions
    config: AdapterConfig
    cwd: Path
    home: Path
    roots: Roots
    environment: Mapping[str, str]
    variables: Callable[[PlannedStep], Mapping[str, str]]
    make_adapter: Callable[[], Adapter]
    archive: SessionArchive
    ledger: Ledger
    emit: Sink
    wait: float = 0.0
    start_at: int | None = None


def choose_target(
    name: str,
    adapter: str,
    *,
    entries: Iterable[SessionInfo],
    ledger: Ledger,
    workflow_path: str,
    resume_if_exists: bool,
) -> Target:
    """Decide where `run` goes: a new session, or on in the one of this name.

    Raises SessionExistsError when the name is taken and going on was not asked for.
    """
    wanted = name.casefold()
    found = [e for e in entries if wanted in (e.id.casefold(), (e.name or "").casefold())]
    if not found:
        return Target(ref=SessionRef(adapter, session_id_for(name)), name=name, exists=False)
    entry = found[0]
    if not resume_if_exists:
        raise SessionExistsError(
            f"a session named {entry.label!r} exists already",
            hint=f"`sdqctl resume {shlex.quote(entry.label)} --continue` does its remaining steps; "
            "`--resume-if-exists` goes on in it with this workflow",
        )
    ref = SessionRef(adapter, entry.id)
    runs = [
        run
        for run in ledger.runs_of(ref)
        if run.status.unfinished and run.workflow_path == workflow_path
    ]
    return Target(ref=ref, name=entry.label, exists=True, run=runs[-1] if runs else None)


async def launch(request: Launch) -> RunRecord:
    """Do the run. Raises SessionBusyError when another process has the session, and what the
    adapter and the runner raise; the ledger has the run's state in every case.
    """
    target = request.target
    with ExitStack() as stack:
        locks = [stack.enter_context(_lock(request, target.ref))]
        known = request.ledger.run(target.run.id) if target.run else None  # as it is by now
        if known is not None and known.session_id != target.ref.id:
            moved_to = SessionRef(target.ref.adapter, known.session_id)
            locks.append(stack.enter_context(_lock(request, moved_to)))
        _refuse_other_clients(request)
        fresh = known is None
        run = known or _record_run(request)
        connection = Connection(
            request.make_adapter, request.config, home=request.home, locks=locks
        )
        async with connection:
            try:
                await _open_for_sure(request, connection, run)
            except BaseException:
                if fresh:
                    request.ledger.discard_run(run.id)
                raise
            return await _drive(request, connection, run)


def _lock(request: Launch, ref: SessionRef) -> SessionLock:
    return SessionLock.acquire(request.home, ref, wait=request.wait)


def _refuse_other_clients(request: Launch) -> None:
    """The runtime's own in-use marks count as held, also those of other programs."""
    ref = request.target.ref
    holder = request.archive.holder(ref.id)
    if holder is not None:
        raise SessionBusyError(
            f"session {request.target.name!r} is open in {holder.describe()}",
            hint="close it there, or try again later (--wait)",
        )


def _record_run(request: Launch) -> RunRecord:
    target, workflow = request.target, request.plan.workflow
    if not target.exists:
        request.ledger.record_session(
            target.ref, name=target.name, cwd=str(request.cwd), created_at=datetime.now(UTC)
        )
    return request.ledger.start_run(
        adapter=target.ref.adapter,
        session_id=target.ref.id,
        session_name=target.name,
        workflow=Path(workflow.path).stem if workflow.path else None,
        workflow_path=workflow.path or None,
        workflow_text=workflow.source or None,
        steps_total=len(request.plan.steps),
        options=encode_options(request.options),
        cwd=str(request.cwd),
        model=request.config.model,
    )


async def _open_for_sure(request: Launch, connection: Connection, run: RunRecord) -> None:
    """Open the session; one death of the runtime meanwhile is survived."""
    try:
        await _open(request, connection, run)
    except RuntimeDiedError as error:
        request.emit(Warned(message=f"{error.message}; a new one is started"))
        await connection.close()
        await _open(request, connection, run, again=True)


async def _open(
    request: Launch, connection: Connection, run: RunRecord, *, again: bool = False
) -> None:
    """Open the session; `again`: the dead runtime may have come to make it."""
    target = request.target
    if target.exists and _was_killed_before_its_first_prompt(request):
        session = await connection.create_or_resume(run.session_id, target.name)
    elif target.exists:
        session = await connection.resume(run.session_id)
    elif target.run is not None and run.steps_done == 0:
        session = await connection.create_or_resume(run.session_id, target.name)
    elif target.run is not None:
        raise SessionNotFoundError(
            f"the runtime does not have session {target.name!r} any more, "
            f"though {run.steps_done} steps of its run are recorded",
            hint=f"`sdqctl sessions show {shlex.quote(target.name)}` shows what the ledger kept",
        )
    elif again:
        session = await connection.create_or_resume(run.session_id, target.name)
    else:
        session = await connection.create(target.name)
    request.emit(
        SessionOpened(
            session_id=session.info.id,
            name=target.name,
            adapter=target.ref.adapter,
            resumed=target.exists,
            model=request.config.model,
        )
    )


def _was_killed_before_its_first_prompt(request: Launch) -> bool:
    """Whether sdqctl made the session, and neither journal nor ledger has anything said in it."""
    ref = request.target.ref
    info = request.archive.get(ref.id)
    return info is not None and not info.stored and request.ledger.is_untouched(ref)


async def _drive(request: Launch, connection: Connection, run: RunRecord) -> RunRecord:
    background = Background(cwd=request.cwd, environment=request.environment)
    context = StepContext(
        run_id=run.id,
        session_name=request.target.name,
        plan=request.plan,
        ledger=request.ledger,
        connection=connection,
        options=request.options,
        roots=request.roots,
        cwd=request.cwd,
        environment=request.environment,
        variables=request.variables,
        background=background,
        commands_folder=commands_folder(request.home, run.id),
        emit=request.emit,
    )
    job = Job(
        run=run,
        plan=request.plan,
        options=request.options,
        ledger=request.ledger,
        connection=connection,
        context=context,
        emit=request.emit,
    )
    try:
        return await Runner(job).execute(start_at=request.start_at)
    finally:
        await background.stop()

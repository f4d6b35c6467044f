"""Opens the session of a run under its lock, records the run, and lets the runner drive it."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sdqctl.adapters.base import Adapter, AdapterConfig, SessionArchive
from sdqctl.engine.audit import recorded
from sdqctl.engine.budget import Budget
from sdqctl.engine.command.background import Background
from sdqctl.engine.command.step import settle_commands
from sdqctl.engine.context import Sink, StepContext
from sdqctl.engine.live_session import LiveSession
from sdqctl.engine.options import RunOptions, encode_options
from sdqctl.engine.results import total_usage
from sdqctl.engine.runner import Deliver, Job, Runner
from sdqctl.errors import (
    InterruptedRunError,
    PausedError,
    RuntimeDiedError,
    SessionBusyError,
    SessionNotFoundError,
)
from sdqctl.model.events import SessionOpened, Warned
from sdqctl.model.run import RunRecord
from sdqctl.model.session import SessionInfo, SessionRef, find_called, name_taken, session_id_for
from sdqctl.model.workflow import Plan, PlannedStep
from sdqctl.sandbox.nets import NetPair
from sdqctl.store.evidence import CommandFolders
from sdqctl.store.gates import record_shown
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.workflow.render import Roots

_POLL = 0.1
"""Seconds between looks at another client's marker."""


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
    nets: NetPair = field(default_factory=NetPair)
    wait: float = 0.0
    """Seconds to wait for a session that is in use."""
    start_at: int | None = None
    deliver: Deliver | None = None
    choose: Callable[[Sequence[SessionInfo]], Target] | None = None
    """Chooses the target again under its lock, from the session that is there by then, or none."""
    repository_is_unchanged: Callable[[], bool] = lambda: True
    """Whether a repository that is trusted is still as it was; asked whenever a session opens."""


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
    entry = find_called(entries, name)
    if entry is None:
        return Target(ref=SessionRef(adapter, session_id_for(name)), name=name, exists=False)
    ref = SessionRef(adapter, entry.id)
    if not resume_if_exists:
        raise name_taken(entry, hint=_ways_on(entry.label, ledger.runs_of(ref)))
    runs = [
        run
        for run in ledger.runs_of(ref)
        if run.status.unfinished and run.workflow_path == workflow_path
    ]
    return Target(ref=ref, name=entry.label, exists=True, run=runs[-1] if runs else None)


def _ways_on(label: str, runs: Sequence[RunRecord]) -> str:
    """What can be done with a session that is there already, by its last run of a workflow."""
    last = next((run for run in reversed(runs) if run.workflow_path is not None), None)
    if last is not None and last.status.unfinished:
        return (
            f"`sdqctl resume {shlex.quote(label)} --continue` does its remaining steps; "
            "`--resume-if-exists` goes on in it with this workflow"
        )
    state = "its run is completed; " if last is not None else ""
    return (
        f"{state}`--resume-if-exists` runs this workflow in that conversation, "
        "another `--session-name` in a new one"
    )


async def launch(request: Launch) -> RunRecord:
    """Do the run. Raises SessionBusyError when another process has the session,
    InterruptedRunError when it is cancelled while it waits for it, SessionNotFoundError when what
    was chosen is gone, and what the adapter and the runner raise; the ledger has the run's state in
    every case.
    """
    with ExitStack() as stack:
        request, known, locks = await _hold(request, stack)
        fresh = known is None
        run = known or _record_run(request)
        connection = LiveSession(
            request.make_adapter,
            replace(request.config, policy=recorded(request.config.policy, request.ledger, run.id)),
            home=request.home,
            locks=locks,
            repository_is_unchanged=request.repository_is_unchanged,
        )
        async with connection:
            try:
                await _open_for_sure(request, connection, run)
            except BaseException:
                if fresh:
                    request.ledger.discard_run(run.id)
                raise
            return await _drive(request, connection, run)


async def _hold(
    request: Launch, stack: ExitStack
) -> tuple[Launch, RunRecord | None, list[SessionLock]]:
    """Lock what the run goes to, waiting as long as was allowed.

    Returns the request with the target as it is under the lock, the unfinished run as it is by
    then, and the locks.
    """
    deadline = time.monotonic() + request.wait
    try:
        request, lock = await _lock_target(request, stack, deadline)
        locks, known = [lock], _known_run(request)
        if known is not None and known.session_id != request.target.ref.id:
            moved_to = SessionRef(request.target.ref.adapter, known.session_id)
            locks.append(await _lock(request, moved_to, stack, deadline))
        for lock in locks:
            await _wait_for_other_clients(request, lock.ref, deadline)
    except asyncio.CancelledError as error:
        raise InterruptedRunError(
            f"interrupted while waiting for session {request.target.name!r}; nothing was begun",
            hint="give the command again",
        ) from error
    return request, known, locks


async def _lock_target(
    request: Launch, stack: ExitStack, deadline: float
) -> tuple[Launch, SessionLock]:
    """The lock of the target, which is chosen again under it: another process may have made,
    finished or deleted meanwhile what was chosen.
    """
    while True:
        with ExitStack() as attempt:
            ref = request.target.ref
            lock = await _lock(request, ref, attempt, deadline)
            info = request.archive.get(ref.id)
            if request.choose is not None:
                target = request.choose([info] if info is not None else [])
            else:
                target = replace(request.target, exists=request.target.exists or info is not None)
            request = replace(request, target=target)
            if target.ref == ref:
                stack.enter_context(attempt.pop_all())
                return request, lock


async def _lock(request: Launch, ref: SessionRef, stack: ExitStack, deadline: float) -> SessionLock:
    left = max(0.0, deadline - time.monotonic())
    return stack.enter_context(await SessionLock.wait_for(request.home, ref, wait=left))


def _known_run(request: Launch) -> RunRecord | None:
    """The unfinished run as it is by now. Raises SessionNotFoundError when it was deleted."""
    target = request.target
    if target.run is None:
        return None
    known = request.ledger.run(target.run.id)
    if known is None:
        raise SessionNotFoundError(
            f"session {target.name!r} was deleted meanwhile, and its run with it",
            hint="`sdqctl sessions trash list` shows what can be restored",
        )
    return known


async def _wait_for_other_clients(request: Launch, ref: SessionRef, deadline: float) -> None:
    """The runtime's own in-use markers count as held, also those of other programs."""
    while (holder := request.archive.holder(ref.id)) is not None:
        if time.monotonic() >= deadline:
            raise SessionBusyError(
                f"session {request.target.name!r} is open in {holder.describe()}",
                hint="close it there, or wait for it (`--wait 10m`)",
            )
        await asyncio.sleep(_POLL)


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


async def _open_for_sure(request: Launch, connection: LiveSession, run: RunRecord) -> None:
    """Open the session; one death of the runtime meanwhile is survived."""
    try:
        await _open(request, connection, run)
    except RuntimeDiedError as error:
        request.emit(Warned(message=f"{error.message}; a new one is started"))
        await connection.close()
        await _open(request, connection, run, again=True)


async def _open(
    request: Launch, connection: LiveSession, run: RunRecord, *, again: bool = False
) -> None:
    """Open the session; `again`: the dead runtime may have come to make it."""
    target = request.target
    ref = SessionRef(target.ref.adapter, run.session_id)
    begun = target.exists or (target.run is not None and run.steps_done > 0)
    if _was_killed_before_its_first_prompt(request, ref) or (
        not begun and (again or target.run is not None)
    ):
        name = request.ledger.session_names().get(ref, target.name)
        session = await connection.create_or_resume(ref.id, name)
    elif target.exists:
        session = await connection.resume(ref.id)
    elif target.run is not None:
        raise SessionNotFoundError(
            f"the runtime does not have session {target.name!r} any more, "
            f"though {run.steps_done} steps of its run are recorded",
            hint=f"`sdqctl sessions show {shlex.quote(target.name)}` shows what the ledger kept",
        )
    else:
        session = await connection.create(target.name)
    request.emit(
        SessionOpened(
            session_id=session.info.id,
            name=target.name,
            adapter=target.ref.adapter,
            resumed=target.exists,
            model=request.config.model,
            sandbox=request.nets.runtime.kind,
        )
    )


def _was_killed_before_its_first_prompt(request: Launch, ref: SessionRef) -> bool:
    """Whether sdqctl made the session, and neither journal nor ledger has anything said in it.

    A later conversation of the run may not even be there: the runtime forgets what it did not
    store.
    """
    info = request.archive.get(ref.id)
    empty = ref != request.target.ref if info is None else not info.stored
    return empty and request.ledger.is_untouched(ref)


async def _drive(request: Launch, connection: LiveSession, run: RunRecord) -> RunRecord:
    background = Background(
        cwd=request.cwd, environment=request.environment, sandbox=request.nets.commands
    )
    context = StepContext(
        run_id=run.id,
        session_name=request.target.name,
        plan=request.plan,
        ledger=request.ledger,
        connection=connection,
        options=request.options,
        budget=Budget(request.options, total_usage(request.ledger.attempts(run.id))),
        roots=request.roots,
        cwd=request.cwd,
        environment=request.environment,
        variables=request.variables,
        background=background,
        commands=CommandFolders(request.home, run.id),
        sandbox=request.nets.commands,
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
        deliver=request.deliver,
    )
    try:
        done = await Runner(job).execute(start_at=request.start_at)
    except PausedError as error:
        if error.position is not None:
            error.on_shown = partial(record_shown, request.home, run.id, error.position)
        raise
    finally:
        await background.stop()
    settle_commands(context)
    return done

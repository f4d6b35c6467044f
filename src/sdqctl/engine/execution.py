"""Opens the session of a run under its lock, records the run, and lets the runner drive it."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sdqctl.adapters.base import SessionArchive
from sdqctl.engine.audit import recorded
from sdqctl.engine.budget import Budget
from sdqctl.engine.command.background import Background
from sdqctl.engine.command.step import settle_commands
from sdqctl.engine.component import kept_component, of_its_component
from sdqctl.engine.context import Deliver, LiveRun, RunContext, Sink
from sdqctl.engine.documents import write_document
from sdqctl.engine.inputs import recorded_inputs
from sdqctl.engine.live_session import LiveSession
from sdqctl.engine.messages import asked_elsewhere, heeding
from sdqctl.engine.notices import noticed
from sdqctl.engine.own_tree import in_own_tree
from sdqctl.engine.pool import RuntimePool, Runtimes
from sdqctl.engine.runner import Runner
from sdqctl.engine.scope import Scope, encoded
from sdqctl.engine.session_config import adapter_config, policy_of
from sdqctl.engine.session_names import name_doubt
from sdqctl.engine.target import look_again, record_new
from sdqctl.engine.telemetry.following import traced
from sdqctl.engine.tree import Tree
from sdqctl.engine.tree_opening import open_tree
from sdqctl.errors import (
    InterruptedRunError,
    PausedError,
    RuntimeDiedError,
    SessionBusyError,
    SessionNotFoundError,
)
from sdqctl.model.events import SessionOpened, Warned
from sdqctl.model.options import encode_options
from sdqctl.model.run import RunRecord
from sdqctl.model.sandbox import Sandbox
from sdqctl.model.session import SessionRef
from sdqctl.sandbox.nets import NetPair, Nets
from sdqctl.store.calls import seconds_of_tree, usages_of_tree
from sdqctl.store.evidence import CommandFolders
from sdqctl.store.gates import record_shown
from sdqctl.store.locks import SessionLock
from sdqctl.store.messages import forget_messages
from sdqctl.text.commands import on_session

_POLL = 0.1
"""Seconds between looks at another client's marker."""


async def launch(
    context: RunContext,
    *,
    emit: Sink | None = None,
    deliver: Deliver | None = None,
    runtime: RuntimePool | None = None,
    nets: Nets | None = None,
) -> RunRecord:
    """Do the run; returns it as it is recorded when all of its steps are done.

    `emit` is given the events as they happen. `deliver` writes what the answers make, instead of
    `write_document`. `runtime` and `nets` are shared with other runs, by whoever keeps them.

    Raises SessionBusyError when another process has the session, SessionExistsError when its name
    was taken meanwhile, SessionNotFoundError when what was chosen is gone, PausedError at a PAUSE
    or CONSULT, InterruptedRunError when it is cancelled, StepError and its kinds for a step that
    failed, and what the adapter raises (all are SdqctlError); the ledger has the run's state in
    every case.
    """
    if emit is not None:
        context = replace(context, emit=emit)
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(traced(noticed(in_own_tree(context))))
        adapter = context.target.ref.adapter
        if context.text is not None:
            stack.enter_context(context.text.held(context.ledger))
        if nets is None:
            nets = stack.enter_context(Nets())
        runtimes = await stack.enter_async_context(Runtimes(context.setup.adapter))
        if runtime is not None:
            runtimes.share(adapter, runtime)
        elif context.workflow.called:
            runtime = runtimes.of(adapter)
        return await _launch(context, deliver, runtime, _Shared(runtimes, nets))


@dataclass(frozen=True)
class _Shared:
    """What a run and those that it calls have together."""

    runtimes: Runtimes
    nets: Nets


async def _launch(
    context: RunContext, deliver: Deliver | None, runtime: RuntimePool | None, shared: _Shared
) -> RunRecord:
    bounds = context.confinement
    with ExitStack() as stack:
        pair = shared.nets.make(bounds.kind, bounds.runtime, bounds.commands)
        context, known, locks = await _hold(context, stack)
        fresh = known is None
        run = known or _record_run(context)
        forget_messages(context.ledger, run.id)
        connection = _connection(context, run, pair, locks, runtime)
        tree = open_tree(context, run, connection.config.policy)
        with tree.living():
            async with connection:
                try:
                    await _open_for_sure(context, connection, run)
                except BaseException:
                    if fresh:
                        context.ledger.discard_run(run.id)
                    raise
                async with heeding(context.ledger, run.id):
                    return await _drive(
                        context, connection, run, pair.commands, deliver, tree, shared
                    )


async def _call(context: RunContext) -> RunRecord:
    """Do a run that a step of another one calls. Raises what `launch` raises."""
    caller = context.caller
    assert caller is not None, "only what is called has a caller"
    outer = caller.run
    shared = _Shared(outer.runtimes, outer.nets)
    if context.target.ref.id != outer.connection.session.info.id:
        context = in_own_tree(context)
        pool = outer.runtimes.of(context.target.ref.adapter)
        return await _launch(context, None, pool, shared)
    record = context.target.run or _record_run(context)
    tree = open_tree(context, record, outer.connection.config.policy)
    with tree.living():
        return await _drive(context, outer.connection, record, outer.sandbox, None, tree, shared)


def _connection(
    context: RunContext,
    run: RunRecord,
    pair: NetPair,
    locks: list[SessionLock],
    runtime: RuntimePool | None,
) -> LiveSession:
    """The session that is to be opened, in its nets, under the policy of the run."""
    adapter, setup = context.target.ref.adapter, context.setup
    if context.question is not None:
        ask = asked_elsewhere(context.question, context.ledger, run.id)
        context = replace(context, question=ask)
    policy = recorded(policy_of(context, pair), context.ledger, run.id)
    make = runtime.adapter_for if runtime is not None else partial(setup.adapter, adapter)
    return LiveSession(
        partial(make, pair.runtime),
        adapter_config(context, policy),
        home=setup.settings.home,
        locks=locks,
        repository_is_unchanged=lambda: _repository_is_unchanged(context),
    )


def _repository_is_unchanged(context: RunContext) -> bool:
    """Whether a trusted repository is as it was when the run began.

    It is asked before each opening of a session: what the agent or another program wrote there
    since has no effect, and that is said once.
    """
    setup = context.setup
    if setup.repository_is_unchanged():
        return True
    place = setup.repository.place
    if ("changed", place) not in setup.reported:
        setup.reported.add(("changed", place))
        message = "is not as it was when the run began; what it brings has no effect any more"
        context.emit(Warned(message=f"{place} {message}"))
    return False


def _archive(context: RunContext) -> SessionArchive:
    return context.setup.archive(context.target.ref.adapter)


async def _hold(
    context: RunContext, stack: ExitStack
) -> tuple[RunContext, RunRecord | None, list[SessionLock]]:
    """Lock what the run goes to, waiting as long as was allowed.

    Returns the context with the target as it is under the lock, the unfinished run as it is by
    then, and the locks.
    """
    deadline = time.monotonic() + context.options.wait
    try:
        context, lock = await _lock_target(context, stack, deadline)
        locks, known = [lock], _known_run(context)
        if known is not None and known.session_id != context.target.ref.id:
            moved_to = SessionRef(context.target.ref.adapter, known.session_id)
            locks.append(await _lock(context, moved_to, stack, deadline))
        for lock in locks:
            await _wait_for_other_clients(context, lock.ref, deadline)
    except asyncio.CancelledError as error:
        raise InterruptedRunError(
            f"interrupted while waiting for session {context.target.name!r}; nothing was begun",
            hint="give the command again",
        ) from error
    return context, known, locks


async def _lock_target(
    context: RunContext, stack: ExitStack, deadline: float
) -> tuple[RunContext, SessionLock]:
    """The lock of the target, which is chosen again under it: another process may have made,
    finished or deleted meanwhile what was chosen.
    """
    while True:
        with ExitStack() as attempt:
            ref = context.target.ref
            lock = await _lock(context, ref, attempt, deadline)
            info = look_again(_archive(context), context.ledger, ref)
            target = context.choose([info] if info is not None else [])
            options = of_its_component(context.options, target.run)
            context = replace(context, target=target, options=options)
            if target.ref == ref:
                if context.text is not None:
                    context.text.write()
                stack.enter_context(attempt.pop_all())
                return context, lock


async def _lock(
    context: RunContext, ref: SessionRef, stack: ExitStack, deadline: float
) -> SessionLock:
    left = max(0.0, deadline - time.monotonic())
    return stack.enter_context(
        await SessionLock.wait_for(context.setup.settings.home, ref, wait=left)
    )


def _known_run(context: RunContext) -> RunRecord | None:
    """The unfinished run as it is by now. Raises SessionNotFoundError when it was deleted."""
    target = context.target
    if target.run is None:
        return None
    known = context.ledger.run(target.run.id)
    if known is None:
        raise SessionNotFoundError(
            f"session {target.name!r} was deleted meanwhile, and its run with it",
            hint="`sdqctl sessions trash list` shows what can be restored",
        )
    return known


async def _wait_for_other_clients(context: RunContext, ref: SessionRef, deadline: float) -> None:
    """The runtime's own in-use markers count as held, also those of other programs."""
    while (holder := _archive(context).holder(ref.id)) is not None:
        if time.monotonic() >= deadline:
            raise SessionBusyError(
                f"session {context.target.name!r} is open in {holder.describe()}",
                hint="close it there, or wait for it (`--wait 10m`)",
            )
        await asyncio.sleep(_POLL)


def _record_run(context: RunContext) -> RunRecord:
    target, workflow, caller = context.target, context.plan.workflow, context.caller
    if not target.exists:
        record_new(_archive(context), context.ledger, target, context.cwd, context.emit)
    return context.ledger.start_run(
        adapter=target.ref.adapter,
        session_id=target.ref.id,
        session_name=target.name,
        workflow=Path(workflow.path).stem if workflow.path else None,
        workflow_path=workflow.path or None,
        workflow_text=workflow.source or None,
        steps_total=len(context.plan.steps),
        options=encode_options(kept_component(context.options, context.ledger.redact)),
        cwd=str(context.cwd),
        model=context.options.model,
        inputs=encoded(context.inputs) if context.inputs else None,
        called=caller.columns if caller is not None else None,
    )


async def _open_for_sure(context: RunContext, connection: LiveSession, run: RunRecord) -> None:
    """Open the session; one death of the runtime meanwhile is survived."""
    try:
        await _open(context, connection, run)
    except RuntimeDiedError as error:
        context.emit(Warned(message=f"{error.message}; a new one is started"))
        await connection.close()
        await _open(context, connection, run, again=True)


async def _open(
    context: RunContext, connection: LiveSession, run: RunRecord, *, again: bool = False
) -> None:
    """Open the session; `again`: the dead runtime may have come to make it."""
    target = context.target
    ref = SessionRef(target.ref.adapter, run.session_id)
    begun = target.exists or (target.run is not None and run.steps_done > 0)
    if _was_killed_before_its_first_prompt(context, ref) or (
        not begun and (again or target.run is not None)
    ):
        name = context.ledger.session_names([ref]).get(ref, target.name)
        session = await connection.create_or_resume(ref.id, name)
    elif target.exists:
        session = await connection.resume(ref.id)
    elif target.run is not None:
        raise SessionNotFoundError(
            f"the runtime does not have session {target.name!r} any more, "
            f"though {run.steps_done} steps of its run are recorded",
            hint=f"`{on_session('sessions show', target.name)}` shows what the ledger kept",
        )
    else:
        template = context.options.session_name or context.workflow.session_name
        named = template if context.caller is None else None  # what is called is named after that
        if (doubt := name_doubt(named, context.run_variables)) is not None:
            context.emit(Warned(message=doubt))
        session = await connection.create(target.name)
    context.emit(
        SessionOpened(
            session_id=session.info.id,
            name=target.name,
            adapter=target.ref.adapter,
            resumed=target.exists,
            model=context.options.model,
            sandbox=context.confinement.kind,
        )
    )


def _was_killed_before_its_first_prompt(context: RunContext, ref: SessionRef) -> bool:
    """Whether sdqctl made the session, and neither journal nor ledger has anything said in it.

    A later conversation of the run may not even be there: the runtime forgets what it did not
    store.
    """
    info = _archive(context).get(ref.id)
    empty = ref != context.target.ref if info is None else not info.stored
    return empty and context.ledger.is_untouched(ref)


async def _drive(
    context: RunContext,
    connection: LiveSession,
    record: RunRecord,
    commands: Sandbox,
    deliver: Deliver | None,
    tree: Tree,
    shared: _Shared,
) -> RunRecord:
    setup, caller = context.setup, context.caller
    home, environment = setup.settings.home, setup.command_environment
    background = Background(
        cwd=context.cwd,
        environment=environment,
        sandbox=commands,
        failed=lambda message: context.emit(Warned(message=message)),
    )
    run = LiveRun(
        context=context,
        record=record,
        connection=connection,
        budget=_budget(context, record) if caller is None else caller.run.budget.shared(),
        background=background,
        commands=CommandFolders(home, record.id),
        sandbox=commands,
        scope=Scope({**context.inputs, **recorded_inputs(record)}),
        tree=tree,
        runtimes=shared.runtimes,
        nets=shared.nets,
        call=_call,
    )
    try:
        runner = Runner(run, deliver or partial(write_document, context))
        done = await runner.execute(start_at=context.start_at)
    except PausedError as error:
        if error.path is not None and error.on_shown is None:
            error.on_shown = partial(record_shown, home, record.id, error.path)
        raise
    finally:
        run.budget.release()
        await background.stop()
    settle_commands(run)
    return done


def _budget(context: RunContext, record: RunRecord) -> Budget:
    """The budget of the outermost run, which those that it calls share."""
    ledger = context.ledger
    used, seconds = usages_of_tree(ledger, record.id), seconds_of_tree(ledger, record)
    return Budget(context.options, context.emit, used, seconds)

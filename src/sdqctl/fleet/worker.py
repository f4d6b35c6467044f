"""Takes runs from a queue and does them, each in the session that the store has, until it is told
to stop or nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sdqctl.engine.execution import launch
from sdqctl.errors import (
    BusyError,
    InterruptedRunError,
    LeaseLostError,
    PausedError,
    SdqctlError,
    StoreUnreachableError,
)
from sdqctl.fleet import queue
from sdqctl.fleet.address import Address
from sdqctl.fleet.admission import let_in, spend
from sdqctl.fleet.database import Database, may_pass
from sdqctl.fleet.engine import server
from sdqctl.fleet.jobs import Job, read_job
from sdqctl.fleet.limits import seconds_to_wait, slow_down
from sdqctl.fleet.preparation import Policy, context_of, give_answer
from sdqctl.fleet.queue import End
from sdqctl.fleet.repositories import Repositories
from sdqctl.fleet.sharing import Shared, SharedStore
from sdqctl.model.events import Event, FailureKind, ModelCallFailed, TurnFailed, UsageReported
from sdqctl.model.session import Usage
from sdqctl.process import commit_point

if TYPE_CHECKING:
    from procrastinate import App

    from sdqctl.engine.context import RunContext
    from sdqctl.engine.setup import Setup
    from sdqctl.model.run import RunRecord
    from sdqctl.model.session import SessionRef
    from sdqctl.sessions.access import Access

_Result = TypeVar("_Result")
_LOG = logging.getLogger(__name__)
_BEATS = 3
"""Signs of life within the time after which a worker counts as dead."""
_LEASED = 1 - 1 / _BEATS
"""Of that time, how long a lease holds: it is over when the run goes to another worker."""
_POLL = 1.0
_AGAIN = 5.0
"""Seconds after which a run that was busy is tried again."""
_PATIENCE = 600.0
_BESIDE = frozenset({"update_heartbeats", "deferrer", "poll_jobs_to_abort", "listener"})
"""The engine's tasks that never end by themselves."""
_THREADS = 4
"""Of each run, so that none waits with its sign of life while others publish, and of the worker."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a worker works. `take_over`: without a sign of life so long, its runs go to others."""

    policy: Policy
    parallel: int = 1
    tags: tuple[str, ...] | None = None
    until_idle: bool = False
    take_over: float = 30.0
    repositories: Mapping[str, Path] = field(default_factory=dict)


class Worker:
    """Does the runs of one queue."""

    def __init__(
        self,
        machine: Setup,
        access: Access,
        address: Address,
        manner: Manner,
        note: Callable[[str], None],
    ) -> None:
        self._machine = machine
        self._access = access
        self._address = address
        self._manner = manner
        self._note = note
        self._repositories = Repositories(machine.home, manner.repositories)
        self._tags = None if manner.tags is None else list(manner.tags)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._fetching = asyncio.Lock()
        self._database, self._asking = Database(address), threading.Lock()
        self._hurry = threading.Event()
        """Set: the database is not waited for any longer."""
        self._broken: SdqctlError | None = None
        """Why it cannot work any longer."""
        self.done = 0
        """Runs that were ended here."""

    async def work(self) -> None:
        """Work until cancelled, or until nothing is left where that was asked for.

        Cancelled, it aborts the running turns, publishes the states and gives the runs back.
        """
        app, hurry = server(self._address, self._act, self._note)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_told)
        threads = _THREADS * (1 + self._manner.parallel)
        loop.set_default_executor(ThreadPoolExecutor(threads))
        try:
            while not await self._serve(app, hurry):
                self._note("the queue cannot be reached; trying again")
                await asyncio.sleep(_AGAIN)
        finally:
            self._answer(Database.close)

    async def _serve(self, app: App, hurry: asyncio.Event) -> bool:
        """Work until told to stop or nothing is left; False: the queue could not be reached.

        Raises SharedStoreError for a statement that the database refuses.
        """
        from procrastinate.exceptions import ConnectorException

        beat = self._manner.take_over / _BEATS
        hurry.clear()
        self._hurry.clear()
        try:
            async with app.open_async():
                working = asyncio.create_task(
                    app.run_worker_async(
                        queues=self._tags,  # type: ignore[arg-type] # None: all
                        concurrency=self._manner.parallel,
                        name=self._name,
                        install_signal_handlers=False,
                        shutdown_graceful_timeout=0,
                        fetch_job_polling_interval=_POLL,
                        abort_job_polling_interval=_POLL,
                        update_heartbeat_interval=beat,
                        stalled_worker_timeout=self._manner.take_over,
                    )
                )
                watching = asyncio.create_task(self._watch(app, beat))
                try:
                    await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
                    is_idle = watching.done() and watching.exception() is None
                finally:
                    hurry.set()
                    self._hurry.set()
                    working.cancel()
                    ends = await _ends(working, watching)
        except ConnectorException as error:
            ends, is_idle = [error], False
        for end in ends:
            self._check(end)
        return is_idle

    def _check(self, end: object) -> None:
        """Raise what the engine or its watch ended with, but for what passes."""
        from procrastinate.exceptions import ConnectorException

        from sdqctl.fleet.connector import refusal

        if isinstance(end, ConnectorException):
            if (refused := refusal(end)) is not None:
                raise self._database.told(refused) from end
        elif isinstance(end, Exception) and not isinstance(end, StoreUnreachableError):
            raise end

    async def _watch(self, app: App, beat: float) -> None:
        """Take over from the dead, now and then; returns when nothing is left to do."""
        since = beat
        while True:
            if self._broken is not None:
                raise self._broken
            try:
                if since >= beat:
                    since = 0.0
                    await self._take_over(app)
                if self._manner.until_idle and await self._ask(self._count) == 0:
                    return
            except SdqctlError as error:
                if not may_pass(error):
                    raise  # else the engine says it, and waits
            await asyncio.sleep(_POLL)
            since += _POLL

    async def _take_over(self, app: App) -> None:
        from procrastinate.exceptions import ConnectorException
        from procrastinate.jobs import Status

        await self._ask(partial(let_in, tags=self._tags))
        stalled = await app.job_manager.get_stalled_jobs(
            seconds_since_heartbeat=self._manner.take_over
        )
        for job in stalled:
            assert job.id is not None, "a job of the database has a number"
            with contextlib.suppress(ConnectorException):  # another worker was first
                await app.job_manager.finish_job_by_id_async(
                    job_id=job.id, status=Status.FAILED, delete_job=False
                )
        found = await self._ask(partial(queue.take_over, seconds=self._manner.take_over))
        if found:
            self._note(f"{found} of a worker that is gone are put in again")

    def _count(self, database: Database) -> int:
        return queue.count_waiting(database, self._tags)

    async def _ask(self, question: Callable[[Database], _Result]) -> _Result:
        return await asyncio.to_thread(self._answer, question)

    def _answer(self, question: Callable[[Database], _Result]) -> _Result:
        """What the queue answers, over the one connection for questions, from any thread."""
        with self._asking:
            return question(self._database)

    async def _act(self, number: int, job: int) -> None:
        """Do a run in a job of the engine."""
        try:
            take = partial(queue.take, number=number, job=job, worker=self._name)
            taken = await self._ask(take)
        except SdqctlError as error:
            if not may_pass(error):  # else the run waits without a job, which is made good
                self._broken = error
            return
        if taken is None:
            return
        self._note(f"{taken.name}: begun")
        try:
            end = await self._end_of(taken)
        except LeaseLostError as error:
            self._note(f"{taken.name}: {error.message}")
            return
        settled = asyncio.create_task(asyncio.to_thread(self._settle, taken, end))
        try:
            await asyncio.shield(settled)
        except asyncio.CancelledError:
            await settled

    async def _end_of(self, taken: queue.Taken) -> End:
        """Do a run, and say how it ended. Raises LeaseLostError."""
        try:
            run = await self._do(read_job(taken.spec), taken)
        except LeaseLostError:
            raise
        except PausedError as error:
            gate = error.path if error.asks else None
            return End("paused", error.message, error.exit_code, gate=gate)
        except (InterruptedRunError, asyncio.CancelledError):
            return End("queued", "given back by a worker that was stopped")
        except BusyError as error:
            return End("queued", error.message, seconds=_AGAIN)
        except SdqctlError as error:
            return End("failed", error.message, error.exit_code)
        except Exception as error:  # noqa: BLE001 - a bug ends one run, not the worker
            return End("failed", f"a bug in sdqctl: {type(error).__name__}: {error}", 1)
        return End("completed", None, 0, steps=(run.steps_done, run.steps_total))

    def _settle(self, taken: queue.Taken, end: End) -> None:
        settle = partial(queue.settle, taken=taken, end=end)
        try:
            is_ours = self._database.patiently(lambda: self._answer(settle), _PATIENCE, self._hurry)
            if taken.is_limited:
                self._answer(partial(let_in, tags=self._tags))
        except SdqctlError as error:
            self._note(f"{taken.name}: {end.status}; the queue may not know it: {error.message}")
            return
        if not is_ours:
            self._note(f"{taken.name}: cancelled, or another worker's by now")
            return
        self.done += end.status != "queued"
        self._note(f"{taken.name}: {end.status}" + (f": {end.message}" if end.message else ""))

    async def _do(self, job: Job, taken: queue.Taken) -> RunRecord:
        with SharedStore(self._access, self._address, self._note) as store:
            shared, clone = await self._opened(store, job)
            with shared, self._machine.ledger() as ledger:
                shared.publisher.patience = _PATIENCE
                context = context_of(self._machine, ledger, job, self._manner.policy, shared, clone)
                if taken.answer is not None:
                    give_answer(context, taken, taken.answer)
                return await shared.keep(self._launched(context, shared, taken.batch))

    async def _launched(self, context: RunContext, shared: Shared, batch: int | None) -> RunRecord:
        commit_point("fleet.launch")
        adapter, limited = shared.ref.adapter, asyncio.Event()
        used: list[Usage] = []

        def emit(event: Event) -> None:
            kind = event.kind if isinstance(event, ModelCallFailed | TurnFailed) else None
            if kind is FailureKind.RATE_LIMIT:
                limited.set()
            if batch is not None and isinstance(event, UsageReported):
                used.append(event.usage)

        async def after_step(ref: SessionRef) -> None:
            await shared.after_step(ref)
            await self._spend(batch, used)
            await self._wait_for(adapter)

        telling = asyncio.create_task(self._tell_limits(adapter, limited))
        try:
            await self._wait_for(adapter)
            return await launch(replace(context, after_step=after_step), emit=emit)
        except PausedError as error:
            error.shown()  # in the queue, where it is listed
            raise
        finally:
            telling.cancel()
            await self._spend(batch, used)

    async def _spend(self, batch: int | None, used: list[Usage]) -> None:
        """Count what was used since the last time for the run's batch."""
        if batch is None or not used:
            return
        number, usage = len(used), sum(used, Usage())
        with contextlib.suppress(SdqctlError):  # it is counted the next time
            await self._ask(partial(spend, batch=batch, usage=usage))
            del used[:number]

    async def _tell_limits(self, adapter: str, limited: asyncio.Event) -> None:
        """Tell all workers each time that the provider says to slow down."""
        while True:
            await limited.wait()
            limited.clear()
            with contextlib.suppress(SdqctlError):  # the next one is told
                await self._ask(partial(slow_down, adapter=adapter))

    async def _wait_for(self, adapter: str) -> None:
        """Wait as long as no turn is to begin on an adapter."""
        with contextlib.suppress(StoreUnreachableError):
            while (left := await self._ask(partial(seconds_to_wait, adapter=adapter))) > 0:
                await asyncio.sleep(min(left, _POLL))

    async def _opened(self, store: SharedStore, job: Job) -> tuple[Shared, Path | None]:
        """The session as the store has it, and the clone; one that is opened is not lost."""

        def opened() -> tuple[Shared, Path | None]:
            clone = None
            if job.origin is not None:
                clone = self._repositories.ready(job.origin, store.database)
            seconds = self._manner.take_over * _LEASED
            return store.begin(job.adapter, job.name, clone, seconds=seconds), clone

        async with self._fetching:
            opening = asyncio.create_task(asyncio.to_thread(opened))
            try:
                return await asyncio.shield(opening)
            except asyncio.CancelledError:
                with contextlib.suppress(SdqctlError), (await opening)[0]:
                    pass
                raise


async def _ends(working: asyncio.Task[None], watching: asyncio.Task[None]) -> list[object]:
    """How the engine, which was cancelled, and its watch end. What is beside the jobs is cancelled
    as often as it takes: Python 3.11 can lose a cancellation (`wait_for`, python/cpython#86296).
    """
    ended = asyncio.gather(working, watching, return_exceptions=True)
    watching.cancel()
    while not ended.done():
        await asyncio.wait([ended], timeout=_POLL)
        for task in (watching, *(t for t in asyncio.all_tasks() if t.get_name() in _BESIDE)):
            task.cancel()
    return list(ended.result())


def _told(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What the engine could not write down while the database was away is made good later."""
    _LOG.debug("%s: %s", context.get("message"), context.get("exception"))

"""A session that is shared while this process works in it: under a lease, its states published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sdqctl.closing import Closing
from sdqctl.errors import (
    LeaseLostError,
    SdqctlError,
    SessionExistsError,
    SessionNotFoundError,
    StoreUnreachableError,
)
from sdqctl.fleet.address import Address
from sdqctl.fleet.arrival import Arrived, arrive, copy_here, is_current
from sdqctl.fleet.copies import read_copy
from sdqctl.fleet.database import Database
from sdqctl.fleet.leases import Lease, release, renew, take
from sdqctl.fleet.publisher import Publisher
from sdqctl.fleet.states import Published, Stored, newest, stored_sessions
from sdqctl.model.session import SessionInfo, SessionRef, find_called, session_id_for
from sdqctl.process import commit_point
from sdqctl.sessions.access import Access
from sdqctl.sessions.called import unfinished_calls
from sdqctl.sessions.query import all_entries
from sdqctl.sessions.resolve import find_session, resolve_session
from sdqctl.store.locks import SessionLock
from sdqctl.text.commands import on_session

_Result = TypeVar("_Result")
_RENEWALS = 3
"""How often a lease is renewed within the time that it holds."""


@dataclass
class SharedStore(Closing):
    """A store, open, and the machine that uses it. Close it, or use it in a `with`."""

    access: Access
    address: Address
    note: Callable[[str], None]

    def __post_init__(self) -> None:
        self.database = Database(self.address)
        self._identity: str | None = None

    def close(self) -> None:
        """Let the connection go."""
        self.database.close()

    @property
    def identity(self) -> str:
        """What the store is known by."""
        if self._identity is None:
            self._identity = self.database.identity()
        return self._identity

    def find(self, argument: str, adapter: str | None = None) -> Stored:
        """The session of a name, an id or the prefix of one. Raises SessionNotFoundError,
        SessionAmbiguousError.
        """
        found = stored_sessions(self.database, adapter)
        info = resolve_session(argument, [each.view.info for each in found])
        return next(each for each in found if each.view.info is info)

    def push(self, argument: str, adapter: str | None, wait: float) -> Published | None:
        """Publish a session of this machine as it is; None when the store has it so already.

        Raises SessionBusyError while another process writes it.
        """
        info = find_session(self.access, argument, adapter).info
        self.database.make()
        ref, home = SessionRef(info.adapter, info.id), self.access.home
        with self._held(info, wait) as shared, SessionLock.acquire(home, ref, wait=wait):
            with self.access.ledger(read_only=True) as ledger:
                for line in unfinished_calls(ledger, ref):
                    self.note(line)
            return shared.publisher.publish(shared.ref)

    def pull(
        self,
        argument: str,
        adapter: str | None,
        *,
        name: str | None = None,
        cwd: Path | None = None,
        force: bool = False,
        with_files: bool = True,
    ) -> Arrived:
        """Bring a session here as it is in the store. Raises what `find` and `arrive` raise."""
        stored = self.find(argument, adapter)
        return arrive(
            self.access,
            self.database,
            self.identity,
            stored,
            name=name,
            cwd=cwd,
            force=force,
            with_files=with_files,
        )

    def open(self, argument: str, adapter: str | None, cwd: Path | None, wait: float) -> Shared:
        """The session of a name, here as it is in the store, held to go on in it. Leave it.

        Raises SessionNotFoundError when neither this machine nor the store has it, and what
        `arrive` raises.
        """
        self.database.make()
        try:
            stored = self.find(argument, adapter)
        except SessionNotFoundError:
            return self._held(find_session(self.access, argument, adapter).info, wait)
        lease = self._take(stored.adapter, stored.name, wait)
        try:
            stored = newest(self.database, stored.session) or stored
            arrived = arrive(self.access, self.database, self.identity, stored, cwd=cwd)
        except BaseException:
            self._let_go(lease)
            raise
        if arrived.replaced:
            self.note("the copy that was here is older, and went into the trash")
        return self._shared(lease, arrived.info, is_new=arrived.is_new)

    def join(self, name: str, adapter: str, cwd: Path, wait: float, *, workflow: Path) -> Shared:
        """The session of a name, held: here as the store has it, else as it is here, else one that
        is to be begun. A workflow called like `workflow` is that file here.

        Raises SessionBusyError, and what `arrive` raises.
        """
        self.database.make()
        lease = self._take(adapter, name, wait)
        try:
            stored = newest(self.database, lease.session)
            if stored is None:
                ref = SessionRef(adapter, session_id_for(name))
                return self._shared(lease, self._here(adapter, name), ref)
            access, database, identity = self.access, self.database, self.identity
            arrived = arrive(access, database, identity, stored, cwd=cwd, workflow=workflow)
        except BaseException:
            self._let_go(lease)
            raise
        return self._shared(lease, arrived.info, is_new=arrived.is_new)

    def begin(self, adapter: str, name: str, clone: Path | None, *, seconds: float) -> Shared:
        """A session of a name, held to begin it or to go on with it: here as the store has it, in a
        worktree of a clone. A copy that went on by itself makes way.

        Raises SessionBusyError, and what `arrive` raises.
        """
        lease = take(self.database, adapter, name, seconds=seconds)
        try:
            stored = newest(self.database, lease.session)
            info = self._brought(stored, clone) if stored is not None else self._here(adapter, name)
        except BaseException:
            self._let_go(lease)
            raise
        return self._shared(lease, info, SessionRef(adapter, session_id_for(name)))

    def _brought(self, stored: Stored, clone: Path | None) -> SessionInfo:
        here = copy_here(self.access, stored)
        if here is not None and is_current(self.access, self.identity, stored, here.ref):
            return here.info
        access, database = self.access, self.database
        return arrive(access, database, self.identity, stored, cwd=clone, force=True).info

    def _here(self, adapter: str, name: str) -> SessionInfo | None:
        return find_called((entry.info for entry in all_entries(self.access, adapter)), name)

    def _held(self, info: SessionInfo, wait: float) -> Shared:
        """A session of this machine, held; it is published for the first time, or goes on."""
        copy = read_copy(self.access.home, self.identity, SessionRef(info.adapter, info.id))
        lease = self._take(info.adapter, info.label, wait)
        try:
            stored = newest(self.database, lease.session)
            if stored is not None:
                self._refuse_other(info, stored, known=copy is not None)
        except BaseException:
            self._let_go(lease)
            raise
        return self._shared(lease, info)

    def _refuse_other(self, info: SessionInfo, stored: Stored, *, known: bool) -> None:
        ref = SessionRef(info.adapter, info.id)
        if is_current(self.access, self.identity, stored, ref):
            return
        if not known:
            raise SessionExistsError(
                f"the store has another session named {stored.name!r}, from {stored.host}",
                hint="give the one here another name: `sdqctl sessions rename`",
            )
        raise SessionExistsError(
            f"the store has a newer state of session {stored.name!r}, from {stored.host}",
            hint=f"`{on_session('sessions pull', stored.name)}` brings it",
        )

    def _take(self, adapter: str, name: str, wait: float) -> Lease:
        return take(self.database, adapter, name, wait=wait)

    def _let_go(self, lease: Lease) -> None:
        with suppress(SdqctlError):  # it ends by itself, then
            release(self.database, lease)

    def _shared(
        self,
        lease: Lease,
        info: SessionInfo | None,
        ref: SessionRef | None = None,
        *,
        is_new: bool = False,
    ) -> Shared:
        publisher = Publisher(self.access, self.database, self.identity, lease, self.note)
        if info is not None:
            ref = SessionRef(info.adapter, info.id)
        assert ref is not None, "a session that is not there has a name"
        return Shared(publisher, Database(self.address), ref, info, is_new)


@dataclass
class Shared(Closing):
    """A session under a lease. Leaving it gives the lease back."""

    publisher: Publisher
    heartbeats: Database
    """A connection of its own: a lease is renewed also while a state is being sent."""
    ref: SessionRef
    info: SessionInfo | None
    """None: it is not there yet."""
    is_new: bool = False
    """Whether it was brought here just now."""
    _lost: LeaseLostError | None = field(default=None, init=False)

    def close(self) -> None:
        """Give the lease back."""
        with self.heartbeats, suppress(SdqctlError):  # else it ends by itself
            release(self.heartbeats, self.publisher.lease)

    async def after_step(self, ref: SessionRef) -> None:
        """Publish the state after a step, waiting for a store that is out of reach."""
        self.ref = ref
        commit_point("fleet.publish")
        try:
            await asyncio.to_thread(self.publisher.publish, ref)
        except asyncio.CancelledError:
            self.publisher.hurry.set()
            raise

    async def keep(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Do the work while the lease is renewed, and publish how it ended.

        When the lease is lost the work is cancelled. Raises LeaseLostError then, else what the
        work raises, and StoreUnreachableError when its end could not be published.
        """
        doing = asyncio.ensure_future(work)
        renewing = asyncio.create_task(self._renew(doing))
        try:
            result = await doing
        except BaseException as error:
            if self._lost is not None:
                raise self._lost from error
            await self._end(error)
            raise
        else:
            await self._end(None)
            return result
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _end(self, error: BaseException | None) -> None:
        """Publish the last state. What fails is said, and raised where nothing else is."""
        if isinstance(error, LeaseLostError):
            return
        try:
            await asyncio.to_thread(self.publisher.publish, self.ref)
        except SdqctlError as failure:
            name = self.publisher.lease.name
            if isinstance(failure, SessionNotFoundError):
                return  # it did not come to be
            if error is None:
                hint = failure.hint
                if isinstance(failure, StoreUnreachableError):
                    hint = f"`{on_session('sessions push', name)}` sends its last state later"
                raise type(failure)(failure.message, hint=hint) from failure
            self.publisher.note(f"the last state is not in the store: {failure.message}")

    async def _renew(self, doing: asyncio.Future[_Result]) -> None:
        lease = self.publisher.lease
        while True:
            await asyncio.sleep(lease.seconds / _RENEWALS)
            try:
                await asyncio.to_thread(renew, self.heartbeats, lease)
            except LeaseLostError as error:
                self._lost = error
                doing.cancel()
                return
            except SdqctlError as error:
                self.publisher.note(f"the lease was not renewed: {error.message}")

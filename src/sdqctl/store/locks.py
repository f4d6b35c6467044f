"""One writer a session: a kernel lock, and beside it who holds it.

The lock goes with the process, so a dead holder never blocks. Its runtime child may live a moment
longer and still write; therefore the child is noted, and waited for, before a session is opened.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, cast

import msgspec

from sdqctl.closing import Closing
from sdqctl.errors import SessionBusyError, StoreError
from sdqctl.fs import FILE_MODE, make_private_folder, write_private
from sdqctl.model.session import Holder, SessionRef
from sdqctl.process import is_same, start_mark
from sdqctl.text.commands import on_session
from sdqctl.text.undecoded import readable

_POLL = 0.1
_ORPHAN_SECONDS = 5.0
_INTRODUCTION_SECONDS = 2.0
"""How long a process that just took a lock is given to write down who it is."""
_COMMAND_LENGTH = 120


class _HolderFile(msgspec.Struct):
    pid: int
    mark: str | None
    host: str
    command: str
    since: datetime
    runtime_pid: int | None = None
    runtime_mark: str | None = None
    family: str | None = None
    """The mark of the runtime's processes and its tools'."""

    def alive(self) -> bool:
        """Whether the holder, or the runtime it started, still lives."""
        return is_same(self.pid, self.mark) or self.runtime_alive()

    def runtime_alive(self) -> bool:
        return self.runtime_pid is not None and is_same(self.runtime_pid, self.runtime_mark)

    def holder(self) -> Holder:
        return Holder(pid=self.pid, host=self.host, command=self.command, since=self.since)


class SessionLock(Closing):
    """A held lock. Release it, or leave it as a context manager, or die."""

    def __init__(self, ref: SessionRef, path: Path, handle: int, state: _HolderFile) -> None:
        self.ref = ref
        self._path = path
        self._handle = handle
        self._state = state

    @classmethod
    def acquire(cls, home: Path, ref: SessionRef, *, wait: float = 0.0) -> Self:
        """Take the lock of a session, waiting up to `wait` seconds.

        Raises SessionBusyError that names the holder, StoreError when locks cannot be written.
        """
        taking = cls._take(home, ref, wait)
        while True:
            try:
                next(taking)
            except StopIteration as end:
                return cast("Self", end.value)
            time.sleep(_POLL)

    @classmethod
    async def wait_for(cls, home: Path, ref: SessionRef, *, wait: float = 0.0) -> Self:
        """The same within an event loop, which goes on meanwhile; it can be cancelled."""
        import asyncio  # what only reads locks need not load it

        taking = cls._take(home, ref, wait)
        try:
            while True:
                try:
                    next(taking)
                except StopIteration as end:
                    return cast("Self", end.value)
                await asyncio.sleep(_POLL)
        finally:
            taking.close()

    @classmethod
    def _take(cls, home: Path, ref: SessionRef, wait: float) -> Generator[None, None, Self]:
        """Try until the lock is had, yielding before each further look."""
        path = _lock_path(home, ref)
        make_private_folder(path.parent)
        deadline = time.monotonic() + wait
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        try:
            yield from _lock(handle, path, ref, deadline)
            yield from _wait_for_orphan(
                path, ref, max(deadline, time.monotonic() + _ORPHAN_SECONDS)
            )
            state = _own_state()
            write_private(_holder_path(path), msgspec.json.encode(state), lasting=False)
        except BaseException:
            os.close(handle)
            raise
        return cls(ref, path, handle, state)

    def is_for(self, ref: SessionRef) -> bool:
        """Whether this is a session's lock; ids are compared without case, as files may be."""
        return _key(self.ref) == _key(ref)

    def note_runtime(self, pid: int | None, family: str | None = None) -> None:
        """Record the runtime child, and the mark of all that it starts, before it opens the
        session. None: there is no such child.
        """
        if pid is None:
            return
        self._state.runtime_pid, self._state.runtime_mark = pid, start_mark(pid)
        self._state.family = family
        write_private(_holder_path(self._path), msgspec.json.encode(self._state), lasting=False)

    def close(self) -> None:
        """Give the lock back; a second time is harmless."""
        if self._handle < 0:
            return
        handle, self._handle = self._handle, -1
        _holder_path(self._path).unlink(missing_ok=True)
        os.close(handle)


def holder(home: Path, ref: SessionRef) -> Holder | None:
    """Who holds a session's lock now. The lock itself is not touched."""
    state = _read(_holder_path(_lock_path(home, ref)))
    return state.holder() if state is not None and state.alive() else None


def other_holder(home: Path, ref: SessionRef, pid: int) -> Holder | None:
    """Who holds a session's lock now, but for a process whose run is over: it may not have let the
    lock go yet, and its runtime may live a moment longer.
    """
    found = holder(home, ref)
    return None if found is None or found.pid == pid else found


def holders(home: Path) -> Callable[[SessionRef], Holder | None]:
    """`holder` for many sessions: the folder of locks is looked at once."""
    try:
        marked = {name for name in os.listdir(home / "locks") if name.endswith(".json")}
    except OSError:
        marked = set()

    def find(ref: SessionRef) -> Holder | None:
        if not marked or f"{_key(ref)}.json" not in marked:
            return None
        return holder(home, ref)

    return find


def _lock(handle: int, path: Path, ref: SessionRef, deadline: float) -> Generator[None, None, None]:
    introduced = time.monotonic() + _INTRODUCTION_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            state = _read(_holder_path(path))
            known = state is not None and is_same(state.pid, state.mark)
            if time.monotonic() >= (deadline if known else max(deadline, introduced)):
                raise _busy(ref, state if known else None) from error
            yield
        except OSError as error:
            raise StoreError(
                f"{path} cannot be locked: {error.strerror}",
                hint="set SDQCTL_HOME to a folder on a file system that has locks (flock)",
            ) from error
        else:
            return


def _wait_for_orphan(path: Path, ref: SessionRef, deadline: float) -> Generator[None, None, None]:
    """Wait for the runtime of a dead holder to go; it ends with its input, within two seconds.

    What its tools left running is ended, and after a while the runtime itself: nobody hears them.
    """
    state = _read(_holder_path(path))
    if state is None:
        return
    patience = time.monotonic() + _ORPHAN_SECONDS
    while state.runtime_alive():
        now = time.monotonic()
        if state.family is not None and now >= patience:
            break
        if now >= deadline and state.family is None:
            raise _busy(ref, state, runtime=True)
        yield
    if state.family is not None:
        from sdqctl.offspring import end_offspring  # who only reads locks ends nothing

        end_offspring(state.family)


def _busy(ref: SessionRef, state: _HolderFile | None, *, runtime: bool = False) -> SessionBusyError:
    who = state.holder().describe() if state else "another process"
    if state is not None and state.pid == os.getpid():
        who = "another run of this command"
    if runtime and state is not None:
        who = f"process {state.runtime_pid}, the runtime of a run that was killed ({who})"
    ending = on_session("sessions interrupt", ref.id)
    return SessionBusyError(
        f"session {ref.id!r} is being written by {who}",
        hint=f"wait for it (`--wait 10m`), or end it: there, or a run by `{ending}`",
    )


def _own_state() -> _HolderFile:
    import socket

    pid = os.getpid()
    words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    command = readable(" ".join(words))[:_COMMAND_LENGTH]
    return _HolderFile(pid, start_mark(pid), socket.gethostname(), command, datetime.now(UTC))


def _lock_path(home: Path, ref: SessionRef) -> Path:
    return home / "locks" / f"{_key(ref)}.lock"


def _key(ref: SessionRef) -> str:
    import hashlib

    text = f"{ref.adapter}\0{ref.id.casefold()}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]


def _holder_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> _HolderFile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_HolderFile)
    except (OSError, msgspec.MsgspecError):
        return None

"""Who gives a session a name looks whether it is free and takes it, before anybody else looks."""

from __future__ import annotations

import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sdqctl.errors import SessionBusyError, StoreError
from sdqctl.fs import FILE_MODE, make_private_folder

_POLL = 0.02
_PATIENCE = 60.0
"""Seconds that another process is given; a fork waits for the agent meanwhile."""
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class _HasHome(Protocol):
    @property
    def home(self) -> Path: ...


_Access = TypeVar("_Access", bound=_HasHome)


def names_a_session(
    function: Callable[Concatenate[_Access, _Parameters], _Result],
) -> Callable[Concatenate[_Access, _Parameters], _Result]:
    """For a function that checks a name and gives it to a session: one process does so at a time.

    It raises SessionBusyError when another one takes longer than a minute, and StoreError.
    """

    @functools.wraps(function)
    def alone(
        access: _Access, /, *arguments: _Parameters.args, **options: _Parameters.kwargs
    ) -> _Result:
        with _locked(access.home / "locks" / "names.lock"):
            return function(access, *arguments, **options)

    return alone


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, which goes with the process."""
    make_private_folder(path.parent)
    deadline = time.monotonic() + _PATIENCE
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    try:
        while not _take(handle, path):
            if time.monotonic() > deadline:
                raise SessionBusyError(
                    f"another process has been naming a session for {_PATIENCE:.0f} seconds",
                    hint="give the command again when it has ended",
                )
            time.sleep(_POLL)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be locked: {error.strerror}") from error
    return True

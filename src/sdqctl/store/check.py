"""Looking at the ledger as a file: is it sound, and a copy of it while it is in use."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import StoreDamagedError, StoreError
from sdqctl.store.database import FILE_NAME, connect_read_only, explain, explained

_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class CheckReport:
    """What a check found. Counts are of what can be read."""

    path: Path
    exists: bool
    problems: tuple[str, ...]
    migrations: tuple[str, ...]
    runs: int
    attempts: int


def check_ledger(home: Path) -> CheckReport:
    """Verify the ledger's file; nothing is changed. Never raises for a damaged one.

    Raises BusyError when another program has it locked, StoreError when it cannot be looked at.
    """
    path = home / FILE_NAME
    if not path.exists():
        return CheckReport(path, False, (), (), 0, 0)
    if found := _missing_parts(path):
        return CheckReport(path, True, found, (), 0, 0)
    with explained(path):
        connection = connect_read_only(path)
    try:
        problems = _problems(path, connection)
        migrations = _column(connection, "SELECT name FROM migrations ORDER BY name")
        runs = len(_column(connection, "SELECT id FROM runs"))
        attempts = len(_column(connection, "SELECT number FROM attempts"))
    finally:
        connection.close()
    return CheckReport(path, True, tuple(problems), tuple(map(str, migrations)), runs, attempts)


def backup_ledger(home: Path, target: Path) -> None:
    """Copy the ledger while it may be in use. Raises StoreError; an existing target is refused."""
    path = home / FILE_NAME
    if not path.exists():
        raise StoreError(f"there is no ledger {path} to back up")
    if target.exists():
        raise StoreError(f"{target} exists already", hint="choose another file")
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.absolute().parent, prefix=".ledger-")
        os.close(handle)
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        copy = sqlite3.connect(temporary)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete without a log
        finally:
            copy.close()
            source.close()
        os.link(temporary, target)
    except sqlite3.DatabaseError as error:
        raise StoreDamagedError(f"the ledger {path} cannot be copied: {error}") from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _missing_parts(path: Path) -> tuple[str, ...]:
    """What is not there of a ledger: SQLite itself would take the rest for the whole."""
    if path.stat().st_size == 0:
        return ("the file is empty: it holds no table",)
    beside = {end: path.with_name(path.name + end).exists() for end in ("-wal", "-shm")}
    if beside["-shm"] and not beside["-wal"]:
        return ("its write-ahead log (-wal) is gone: what was recorded last may be lost",)
    return ()


def _problems(path: Path, connection: sqlite3.Connection) -> list[str]:
    try:
        rows = connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
        found = [str(row[0]) for row in rows if row[0] != "ok"]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        explained_error = explain(path, error)
        if isinstance(explained_error, StoreDamagedError):
            return [str(error)]
        raise explained_error from error
    return [*found, *(f"a row of {row[0]} has lost its {row[2]}" for row in broken)]


def _column(connection: sqlite3.Connection, query: str) -> list[object]:
    """The first column of a query, as far as it can be read."""
    found: list[object] = []
    try:
        for row in connection.execute(query):
            found.append(row[0])
    except sqlite3.DatabaseError:
        return found
    return found

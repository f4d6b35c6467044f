"""The runtime's own full-text copy of every turn, `session-store.db`, which a delete leaves behind.

Layout as found (runtime 1.0.102): `sessions` by `id`; `turns`, `search_index` (FTS5) and others by
`session_id`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sdqctl.errors import SessionUnusableError

FILE_NAME = "session-store.db"
_BUSY_SECONDS = 10.0


def purge(home: Path, session_id: str) -> int:
    """Remove a session's rows, and their text from the file; returns how many rows went.

    Raises SessionUnusableError when the database cannot be changed.
    """
    file = home / FILE_NAME
    if not file.exists():
        return 0
    try:
        connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            return _purge(connection, session_id)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise SessionUnusableError(
            f"the text of session {session_id!r} stays in {file}: {error}",
            hint="close other Copilot programs, then purge again",
        ) from error


def _purge(connection: sqlite3.Connection, session_id: str) -> int:
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("BEGIN IMMEDIATE")
    try:
        gone = 0
        for table, column in _tables(connection):
            statement = f'DELETE FROM "{table}" WHERE "{column}" = ?'
            gone += connection.execute(statement, (session_id,)).rowcount
        for table in _indexes(connection):
            # The words of deleted rows stay in an FTS5 index until its segments are merged.
            connection.execute(f'INSERT INTO "{table}"("{table}") VALUES (\'optimize\')')
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def _tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Tables with rows of sessions and the column of the session's id, `sessions` last."""
    names = [
        row[0]
        for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not row[0].startswith("sqlite_")
    ]
    found = []
    for name in names:
        columns = {row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')}
        if "session_id" in columns:
            found.append((name, "session_id"))
    return [*found, ("sessions", "id")] if "sessions" in names else found


def _indexes(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%USING fts5%'"
    return [row[0] for row in connection.execute(query)]

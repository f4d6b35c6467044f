"""The ledger's tables of sessions: those that sdqctl made, and those that cleanup leaves alone."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from datetime import datetime

from sdqctl.model.run import RunStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.database import Database


class SessionTable(ABC):
    """The part of the ledger that is about sessions."""

    @property
    @abstractmethod
    def database(self) -> Database:
        """The open file. Raises StoreError when it was opened for reading."""

    @abstractmethod
    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""

    def record_session(
        self, ref: SessionRef, *, name: str, cwd: str | None, created_at: datetime
    ) -> None:
        """Record that sdqctl makes a session; the newest name of an id counts."""
        with self.database.write("ledger.session") as connection:
            put_session(connection, ref, name=name, cwd=cwd, created_at=created_at)

    def rename_session(self, ref: SessionRef, name: str) -> None:
        """Record a session's new name."""
        with self.database.write("ledger.session") as connection:
            key = (name, ref.adapter, ref.id)
            connection.execute("UPDATE sessions SET name = ? WHERE adapter = ? AND id = ?", key)
            connection.execute(
                "UPDATE runs SET session_name = ? WHERE adapter = ? AND session_id = ?", key
            )

    def session_names(self) -> dict[SessionRef, str]:
        """The sessions that sdqctl made, with their names."""
        rows = self.rows("SELECT adapter, id, name FROM sessions")
        return {SessionRef(row["adapter"], row["id"]): row["name"] for row in rows}

    def forget_session(self, ref: SessionRef) -> None:
        """Delete all that is recorded of a session."""
        key = (ref.adapter, ref.id)
        with self.database.write("ledger.session") as connection:
            connection.execute("DELETE FROM runs WHERE adapter = ? AND session_id = ?", key)
            connection.execute("DELETE FROM sessions WHERE adapter = ? AND id = ?", key)
            connection.execute("DELETE FROM kept_sessions WHERE adapter = ? AND id = ?", key)

    def keep_session(self, ref: SessionRef, *, keep: bool) -> None:
        """Protect a session from cleanup, or no longer."""
        with self.database.write("ledger.session") as connection:
            key = (ref.adapter, ref.id)
            connection.execute("DELETE FROM kept_sessions WHERE adapter = ? AND id = ?", key)
            if keep:
                connection.execute("INSERT INTO kept_sessions VALUES (?, ?)", key)

    def unfinished_sessions(self) -> set[SessionRef]:
        """The sessions in which an unfinished run did something, also those that it left again."""
        query = """
            SELECT DISTINCT runs.adapter, attempts.session_id AS id
            FROM attempts JOIN runs ON runs.id = attempts.run_id
            WHERE runs.status <> ? AND attempts.session_id IS NOT NULL
        """
        rows = self.rows(query, RunStatus.COMPLETED.value)
        return {SessionRef(row["adapter"], row["id"]) for row in rows}

    def kept_sessions(self) -> set[SessionRef]:
        """The sessions that cleanup leaves alone."""
        return {SessionRef(r["adapter"], r["id"]) for r in self.rows("SELECT * FROM kept_sessions")}


def put_session(
    connection: sqlite3.Connection,
    ref: SessionRef,
    *,
    name: str,
    cwd: str | None,
    created_at: datetime,
) -> None:
    """`record_session` within an open transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
        (ref.adapter, ref.id, name, cwd, created_at.isoformat()),
    )

"""Between rows of the ledger and records."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from sdqctl.model.audit import ToolRecord
from sdqctl.model.paths import position_of
from sdqctl.model.run import RunRecord, RunStatus, StepRecord, StepStatus
from sdqctl.model.session import SessionRef, ToolCall, Usage, folded


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def among(refs: Collection[SessionRef] | None, adapter: str, session: str) -> tuple[str, str]:
    """The condition on two columns that means these sessions, or any, and its one value."""
    if refs is None:
        return "?1 IS NOT NULL", ""
    these = "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?1)"
    values = msgspec.json.encode([(ref.adapter, ref.id) for ref in refs]).decode()
    return f"({adapter}, {session}) IN ({these})", values


def read_run(row: sqlite3.Row) -> RunRecord:
    """A row of `runs` with its step counts."""
    values: dict[str, Any] = dict(row)
    for name in ("pid", "number"):
        values.pop(name, None)
    for name in ("started_at", "updated_at", "completed_at", "running_since"):
        values[name] = _time(values.get(name))
    status = values["status"] = RunStatus(values["status"])
    if values["steps_done"] > values["steps_total"]:  # blocks unfolded, and it has not ended yet
        values["steps_total"] = values["steps_done"] + status.unfinished
    return RunRecord(**values)


def read_step(row: sqlite3.Row) -> StepRecord:
    """A row of `attempts` with its count."""
    values: dict[str, Any] = dict(row)
    del values["ended"], values["audited"]
    for name in ("started_at", "completed_at", "shown_at"):
        values[name] = _time(values[name])
    values["status"] = StepStatus(values["status"])
    values["superseded"] = bool(values["superseded"])
    values["tools"] = msgspec.json.decode(values["tools"], type=tuple[ToolCall, ...])
    values["usage"] = msgspec.json.decode(values["usage"], type=Usage)
    return StepRecord(**values)


def read_request(row: sqlite3.Row) -> ToolRecord:
    """A row of `tool_requests`. Raises msgspec.MsgspecError for what is none."""
    values = dict(row)
    found = {
        **values,
        "run": values["run_id"],
        "position": None if values["path"] is None else position_of(values["path"]),
        "by": values["decided_by"],
        "allowed": bool(values["allowed"]),
        "time": values["decided_at"],
    }
    return msgspec.convert(found, type=ToolRecord)


def redacted(value: Any, redact: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON
    """A JSON value without the secrets in its texts."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redacted(item, redact) for item in value]
    if isinstance(value, dict):
        return {redact(key): redacted(item, redact) for key, item in value.items()}
    return value


def insert_row(connection: sqlite3.Connection, table: str, values: Mapping[str, object]) -> None:
    """Insert one row by its column names."""
    marks = ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
    )


def put_session(
    connection: sqlite3.Connection,
    ref: SessionRef,
    *,
    name: str | None,
    cwd: str | None,
    created_at: datetime,
) -> None:
    """Record a session within an open transaction; the newest name of an id counts, and one without
    a name has none, also where a session of its id that is gone had one. A copy that was begun
    under its name is not waited for any more.
    """
    if name is None:
        key = (ref.adapter, ref.id)
        connection.execute("DELETE FROM sessions WHERE adapter = ? AND id = ?", key)
        return
    forget_copy(connection, ref.adapter, name)
    connection.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
        (ref.adapter, ref.id, name, cwd, created_at.isoformat()),
    )


def forget_copy(connection: sqlite3.Connection, adapter: str, name: str) -> None:
    """Within an open transaction: no copy of this name is being made."""
    key = (adapter, folded(name))
    connection.execute("DELETE FROM copies_begun WHERE adapter = ? AND name = ?", key)


def place_called(connection: sqlite3.Connection, run_id: str, moved: Mapping[str, str]) -> None:
    """Let the runs that a run calls go with their steps (old path -> new), within an open
    transaction; those of steps that are gone are no longer part of it.
    """
    query = "SELECT id, parent_path FROM runs WHERE parent_run = ? AND parent_path IS NOT NULL"
    for row in connection.execute(query, (run_id,)).fetchall():
        new = moved.get(row["parent_path"])
        if new != row["parent_path"]:
            statement = "UPDATE runs SET parent_path = ? WHERE id = ?"
            connection.execute(statement, (new, row["id"]))


def next_number(connection: sqlite3.Connection) -> int:
    """The number of a run that begins now, within an open transaction; greater than all others."""
    row = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()
    return int(row[0])


def take_moments(connection: sqlite3.Connection, count: int = 1) -> int:
    """The first of so many moments at which attempts begin or end, within an open transaction: no
    attempt has their numbers, and each that begins later has a greater one.
    """
    sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'attempts'"
    if connection.execute(sequence).fetchone() is None:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('attempts', 0)")
    connection.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'attempts'", (count,))
    return int(connection.execute(sequence).fetchone()[0]) - count + 1

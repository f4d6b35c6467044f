"""The ledger's rows of one session: taken out, put in, and copied up to a step."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from sdqctl.model.paths import is_path
from sdqctl.model.run import GATES, RunStatus, StepStatus, is_run_id
from sdqctl.model.session import SessionRef, is_session_id
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import (
    insert_row,
    next_number,
    read_request,
    read_run,
    read_step,
    take_moments,
)

Row = dict[str, Any]
_LARGEST = 2**63
_TEXTS = ("id", "session_id", "session_name", "cwd", "workflow", "workflow_path", "options")
"""Columns of a run that are read before the rows are in the ledger."""
SNAPSHOTS = ("snapshot_before", "snapshot")
"""Columns of an attempt that name commits."""
_MOMENTS = ("number", "ended")
"""Columns of an attempt that say in which order things happened in its ledger."""
_PARENT = ("parent_run", "parent_path", "item")
_GIVEN_BY_USERS = {"mode", "allow_tools", "allow_all_tools", "output_file", "sandbox"}


class SessionRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as they stand in the tables of the same names. Older bundles lack `tool_requests`, and
    have rows of a table that is gone, which are passed over.
    """

    runs: list[Row] = []
    attempts: list[Row] = []
    tool_requests: list[Row] = []


def take_rows(ledger: Ledger, ref: SessionRef) -> SessionRows:
    """All rows of the runs that stand in a session now."""
    database = ledger.database
    query = "SELECT * FROM runs WHERE adapter = ? AND session_id = ? ORDER BY number"
    runs = database.rows(query, ref.adapter, ref.id)
    found: dict[str, list[Row]] = {"attempts": [], "tool_requests": []}
    for run in runs:
        for table, rows in found.items():
            query = f"SELECT * FROM {table} WHERE run_id = ? ORDER BY number"
            rows += map(dict, database.rows(query, run["id"]))
    return SessionRows(runs=[dict(row) for row in runs], **found)


def check_rows(rows: SessionRows) -> None:
    """Raise ValueError for rows that no ledger has, whoever wrote them: nested values, numbers that
    SQLite cannot hold, texts that are none, ids that are no names of files.
    """
    for table in rows.__struct_fields__:
        for row in getattr(rows, table):
            for column, value in row.items():
                if not _is_value(value):
                    raise ValueError(f"{table}.{column} holds what no column can hold")
    for run in rows.runs:
        for column in _TEXTS:
            if not isinstance(run.get(column), str | None):
                raise ValueError(f"runs.{column} is no text: {run[column]!r}")
            if "\0" in (run.get(column) or ""):
                raise ValueError(f"runs.{column} holds a null character")
    _check_ids(rows)


def _check_ids(rows: SessionRows) -> None:
    for run in rows.runs:
        if not is_run_id(run.get("id")):
            raise ValueError(f"{run.get('id')!r} is no id of a run")
    for row in (*rows.runs, *rows.attempts):
        session_id = row.get("session_id")
        if session_id is not None and not is_session_id(str(session_id)):
            raise ValueError(f"{session_id!r} is no id of a session")


def _is_value(value: object) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value < _LARGEST
    return value is None or isinstance(value, str | float)


def moved(
    rows: SessionRows,
    *,
    old_id: str,
    new: SessionRef,
    name: str | None,
    cwd: tuple[str, str] | None,
    workflows: Mapping[str, str],
) -> SessionRows:
    """The rows for another session, whose runs keep their name unless one is given. `cwd` is the
    old and the new folder; `workflows` gives the place of each run's workflow file.
    """
    runs = [
        run
        | {
            "adapter": new.adapter,
            "session_id": new.id,
            "session_name": name or run["session_name"],
            "cwd": _mapped(run["cwd"], cwd),
            "workflow_path": workflows.get(run["id"], run["workflow_path"]),
        }
        for run in rows.runs
    ]
    attempts, requests = (
        [row | {"session_id": new.id} if row["session_id"] == old_id else row for row in found]
        for found in (rows.attempts, rows.tool_requests)
    )
    return SessionRows(runs=runs, attempts=attempts, tool_requests=requests)


def put_rows(connection: sqlite3.Connection, rows: SessionRows) -> list[str]:
    """Insert rows within an open transaction, and return the ids of the runs.

    A run that is recorded for the same session is replaced: the session was deleted, or its import
    was cut off. A run whose id is taken otherwise gets a new one. The order in which things began
    and ended stays, over all runs.

    Raises ValueError for rows that are none of a ledger: they may come from anyone's bundle.
    """
    try:
        rows = _with_paths(rows)
        _refuse_unknown_columns(connection, rows)
        ids = {run["id"]: _free_id(connection, run) for run in rows.runs}
        for run in rows.runs:  # in the order they were begun in; here they are the newest
            number = next_number(connection)
            own = {"id": ids[run["id"]], "pid": None, "number": number}
            if (parent := run.get("parent_run")) in ids:
                own["parent_run"] = ids[parent]
            insert_row(connection, "runs", run | own)
        for attempt in _renumbered(connection, rows.attempts):
            row = attempt | _shown_by_then(attempt, rows.runs)
            insert_row(connection, "attempts", row | {"run_id": ids[attempt["run_id"]]})
        for asked in _in_order(rows.tool_requests):
            row = {name: value for name, value in asked.items() if name != "number"}
            insert_row(connection, "tool_requests", row | {"run_id": ids[asked["run_id"]]})
        _read_back(connection, ids.values())
    except (sqlite3.Error, TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(f"the ledger's rows do not fit: {error}") from error
    except KeyError as error:
        raise ValueError(f"the ledger's rows miss {error}") from error
    return list(ids.values())


def _with_paths(rows: SessionRows) -> SessionRows:
    """The rows with the paths of their steps, for which older bundles have a position in a list.

    Raises ValueError for what is no path.
    """
    return msgspec.structs.replace(
        rows,
        attempts=list(map(_with_path, rows.attempts)),
        tool_requests=[
            asked if asked.get("path", asked.get("position")) is None else _with_path(asked)
            for asked in map(_without_nothing, rows.tool_requests)
        ],
    )


def _without_nothing(asked: Row) -> Row:
    """A request without the position that it has not."""
    return {name: value for name, value in asked.items() if (name, value) != ("position", None)}


def _with_path(row: Row) -> Row:
    rest = {name: value for name, value in row.items() if name != "position"}
    path = str(rest["path"] if "position" not in row else row["position"])
    if not is_path(path):
        raise ValueError(f"the ledger's rows do not fit: {path!r} is no path of a step")
    return rest | {"path": path}


def remove_runs(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Delete runs with all that belongs to them, within an open transaction."""
    connection.executemany("DELETE FROM runs WHERE id = ?", ((run_id,) for run_id in ids))


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows by the numbers that they had; bundles have them run by run."""
    return sorted(rows, key=_number)


def _number(row: Row) -> int:
    return row.get("number") or 0


def _renumbered(connection: sqlite3.Connection, attempts: Sequence[Row]) -> list[Row]:
    """Attempts with moments of this ledger, as the newest, within an open transaction. What they
    saw of a tree was not here.
    """
    found = [row[name] for row in attempts for name in _MOMENTS if row.get(name) is not None]
    moments = sorted(set(found))
    first = take_moments(connection, len(moments))
    new = {None: None, **{moment: first + place for place, moment in enumerate(moments)}}
    return [
        row | {"seen": None, **{name: new[row.get(name)] for name in _MOMENTS}} for row in attempts
    ]


def without_permissions(rows: SessionRows) -> SessionRows:
    """The rows of someone else's runs, without what they allowed and where they wrote."""
    runs = []
    for run in rows.runs:
        options = msgspec.json.decode(run["options"], type=dict[str, Any])
        kept = {name: value for name, value in options.items() if name not in _GIVEN_BY_USERS}
        own: Row = {"options": msgspec.json.encode(kept).decode()}
        if run.get("parent_run") not in {each["id"] for each in rows.runs}:
            own |= dict.fromkeys(_PARENT)  # nobody's bundle says what a run of yours called
        runs.append(run | own)
    return msgspec.structs.replace(rows, runs=runs)


def without_snapshots(rows: SessionRows) -> SessionRows:
    """The rows of runs whose snapshots lie in the repository of somebody else."""
    return SessionRows(
        runs=[run | {"keeper": None} for run in rows.runs],
        attempts=[row | dict.fromkeys(SNAPSHOTS) for row in rows.attempts],
        tool_requests=rows.tool_requests,
    )


def _refuse_unknown_columns(connection: sqlite3.Connection, rows: SessionRows) -> None:
    """A column's name goes into a statement, so only the tables' own names may pass."""
    for table in rows.__struct_fields__:
        found: list[Row] = getattr(rows, table)
        known = {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
        for row in found:
            if unknown := set(row) - known:
                raise ValueError(f"{table} has no column {min(unknown)!r}")


def _read_back(connection: sqlite3.Connection, run_ids: Iterable[str]) -> None:
    """Rows that cannot be read as records would break every list from now on."""
    for run_id in run_ids:
        query = "SELECT *, 0 AS steps_done FROM runs WHERE id = ?"
        for row in connection.execute(query, (run_id,)):
            read_run(row)
        query = "SELECT *, 1 AS attempts FROM attempts WHERE run_id = ?"
        for row in connection.execute(query, (run_id,)):
            read_step(row)
        for row in connection.execute("SELECT * FROM tool_requests WHERE run_id = ?", (run_id,)):
            read_request(row)


def cut_rows(
    rows: SessionRows, run_id: str, kept: Iterable[str]
) -> tuple[SessionRows, dict[str, str]]:
    """One run with the outcomes of the steps at some paths alone, and what these call in the same
    session; with the new ids of the runs by their old ones.

    A run stays completed where all its steps are among them, and paused where its gate is; else it
    is an interrupted run.
    """
    paths = {run_id: set(kept)}
    found = SessionRows()
    ids = dict[str, str]()
    for run in _in_order(rows.runs):  # a run is begun after that which calls it
        old, parent = run["id"], run["parent_run"]
        if old != run_id and run["parent_path"] not in paths.get(parent, ()):
            continue
        ids[old] = new = f"{old[:17]}-{secrets.token_hex(3)}"
        live = [row for row in rows.attempts if row["run_id"] == old and not row["superseded"]]
        paths.setdefault(old, {row["path"] for row in live})
        attempts = [row | {"run_id": new} for row in live if row["path"] in paths[old]]
        own: Row = {"id": new, "running_since": None, "parent_run": ids.get(parent)}
        alone = dict.fromkeys(_PARENT) if old == run_id else {}
        found.runs.append(run | _state_with(attempts, run) | own | alone)
        found.attempts.extend(attempts)
    turns = {row["turn_id"] for row in found.attempts if row["turn_id"]}
    found.tool_requests.extend(
        row | {"run_id": ids[row["run_id"]]}
        for row in rows.tool_requests
        if row["run_id"] in ids and row["turn_id"] in turns
    )
    return found, ids


def _state_with(attempts: Iterable[Row], run: Row) -> Row:
    """How a run stands of which these attempts are left."""
    last = {row["path"]: row for row in attempts}
    settled = [row for row in last.values() if StepStatus(row["status"]).settled]
    gates = [row for row in last.values() if row["kind"] in GATES and row not in settled]
    whole = run["status"] == RunStatus.COMPLETED and len(settled) >= run["steps_total"]
    if whole or (run["status"] == RunStatus.PAUSED and gates):
        return {}
    return {
        "status": RunStatus.INTERRUPTED.value,
        "message": None,
        "updated_at": datetime.now(UTC).isoformat(),
        "completed_at": None,
    }


def _shown_by_then(attempt: Row, runs: Iterable[Row]) -> Row:
    """When the message of a gate was shown, for a bundle that does not say it yet: by the rule of
    the migration that added the column.
    """
    if "shown_at" in attempt or attempt["kind"] not in GATES:
        return {}
    begun = attempt["started_at"]
    shown = attempt["status"] == StepStatus.BEGUN and any(
        run["updated_at"] > begun for run in runs if run["id"] == attempt["run_id"]
    )
    return {"shown_at": begun} if shown else {}


def _free_id(connection: sqlite3.Connection, run: Row) -> str:
    run_id, own = run["id"], (run["adapter"], run["session_id"])
    query = "SELECT adapter, session_id FROM runs WHERE id = ?"
    taken = connection.execute(query, (run_id,)).fetchone()
    if taken is not None and tuple(taken) == own:
        remove_runs(connection, [run_id])
        return str(run_id)
    return f"{run_id[:17]}-{secrets.token_hex(3)}" if taken else run_id


def _mapped(path: str | None, cwd: tuple[str, str] | None) -> str | None:
    """A path below the old folder, in the new one."""
    if path is None or cwd is None:
        return path
    old, new = cwd
    if path == old or path.startswith(f"{old}/"):
        return new + path[len(old) :]
    return path

"""The durable record of runs and steps. Each method that writes is on disk when it returns."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.closing import Closing
from sdqctl.errors import StoreError
from sdqctl.model.paths import path_key
from sdqctl.model.run import RunRecord, RunStatus, StepRecord, StepStatus, prompt_digest
from sdqctl.model.session import SessionRef, ToolCall, Usage
from sdqctl.store.database import Database
from sdqctl.store.rows import (
    among,
    insert_row,
    next_number,
    place_called,
    put_session,
    read_run,
    read_step,
    redacted,
    take_moments,
)


def _runs(columns: str) -> str:
    """A query of runs with how many of their steps are done."""
    return f"""
        SELECT {columns}, (
            SELECT count(*) FROM attempts AS a
            WHERE a.run_id = runs.id AND a.superseded = 0 AND a.status IN ('done', 'skipped')
        ) AS steps_done FROM runs
    """


_RUNS = _runs("runs.*")
_LISTED_RUNS = _runs(
    "id, adapter, session_id, session_name, workflow, workflow_path, status, steps_total, cwd, "
    "model, message, started_at, updated_at, completed_at, parent_run, parent_path, "
    "keeper, NULL AS workflow_text"
)
"""Without the texts, which a list does not show."""
_OF_ITS_OWN = """
    NOT EXISTS (SELECT 1 FROM runs AS p WHERE p.id = runs.parent_run
    AND p.adapter = runs.adapter AND p.session_id = runs.session_id)
"""
"""Not a run that was called in the conversation of its parent."""
_STEPS = """
    SELECT a.*, (
        SELECT count(*) FROM attempts AS b
        WHERE b.run_id = a.run_id AND b.path = a.path AND b.superseded = 0
    ) AS attempts FROM attempts AS a
"""
_LAST = """
    a.superseded = 0 AND a.number = (
        SELECT max(number) FROM attempts AS c
        WHERE c.run_id = a.run_id AND c.path = a.path AND c.superseded = 0
    )
"""


class Ledger(Closing):
    """Sessions, runs and attempts. An attempt's outcome is written once and never changed."""

    def __init__(self, database: Database | None, redact: Callable[[str], str]) -> None:
        self._database = database
        self.redact = redact

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        read_only: bool = False,
        redact: Callable[[str], str] = lambda text: text,
    ) -> Ledger:
        """Open the ledger below `home`; `redact` takes secrets out of every text before it is kept.

        Read-only, a ledger that is not there is an empty one. Raises StoreError and its kinds.
        """
        database = Database.open_read_only(home) if read_only else Database.open(home)
        return cls(database, redact)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    # -- runs -------------------------------------------------------------------------------------

    def start_run(
        self,
        *,
        adapter: str,
        session_id: str,
        session_name: str | None,
        workflow: str | None,
        workflow_path: str | None,
        workflow_text: str | None,
        steps_total: int,
        options: str,
        cwd: str | None,
        model: str | None,
        inputs: str | None = None,
        called: Mapping[str, str | None] | None = None,
    ) -> RunRecord:
        """Record a new run, as running; `called` are its columns about what calls it."""
        import secrets  # loads OpenSSL, which reading need not

        now = _now()
        run_id = f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}-{secrets.token_hex(3)}"
        values = {
            "id": run_id,
            "adapter": adapter,
            "session_id": session_id,
            "session_name": session_name,
            "workflow": workflow,
            "workflow_path": workflow_path,
            "workflow_text": self._clean(workflow_text),
            "status": RunStatus.RUNNING.value,
            "steps_total": steps_total,
            "options": self.redact(options),
            "inputs": None if inputs is None else self._clean_json(inputs),
            **(called or {}),
            "cwd": cwd,
            "model": model,
            "pid": os.getpid(),
            "started_at": now.isoformat(),
            "updated_at": now.isoformat(),
        }
        with self.database.write("ledger.run") as connection:
            insert_row(connection, "runs", values | {"number": next_number(connection)})
        return self._existing(run_id)

    def update_run(self, run_id: str, **changes: object) -> None:
        """Change columns of a run, such as its status, message, session_id and keeper."""
        values = {key: _plain(value) for key, value in changes.items()}
        if isinstance(values.get("message"), str):
            values["message"] = self._clean(str(values["message"]))
        now = _now().isoformat()
        values["updated_at"] = now
        if "status" in values:
            values["completed_at"] = now if values["status"] == RunStatus.COMPLETED else None
            values["pid"] = os.getpid()
        columns = ", ".join(f"{name} = ?" for name in values)
        with self.database.write("ledger.run") as connection:
            connection.execute(
                f"UPDATE runs SET {columns} WHERE id = ?", (*values.values(), run_id)
            )

    def discard_run(self, run_id: str) -> None:
        """Forget a run that never began a step."""
        with self.database.write("ledger.run") as connection:
            connection.execute(
                "DELETE FROM runs WHERE id = ? AND NOT EXISTS "
                "(SELECT 1 FROM attempts WHERE run_id = runs.id)",
                (run_id,),
            )

    def run(self, run_id: str) -> RunRecord | None:
        """One run."""
        rows = self.rows(f"{_RUNS} WHERE runs.id = ?", run_id)
        return read_run(rows[0]) if rows else None

    def runs_of(self, ref: SessionRef, *, called: bool = True) -> list[RunRecord]:
        """The runs that stood in a session, in the order they were begun; without `called` those
        alone that no run of the same session calls.
        """
        own = "" if called else f"AND {_OF_ITS_OWN}"
        rows = self.rows(
            f"""{_RUNS} WHERE runs.id IN (
                SELECT id FROM runs WHERE adapter = ?1 AND session_id = ?2
                UNION SELECT run_id FROM attempts WHERE session_id = ?2
            ) AND +runs.adapter = ?1 {own} ORDER BY runs.number""",
            ref.adapter,
            ref.id,
        )  # the plus keeps SQLite from going through all runs of the adapter
        return [read_run(row) for row in rows]

    def last_runs(self, refs: Collection[SessionRef] | None = None) -> dict[SessionRef, RunRecord]:
        """The run of each session that says how it stands, or of these sessions.

        The newest of a workflow that has steps left, else the newest of one; where that is
        completed, the single prompt (a run without a workflow) that came last after it, if it is
        not done.
        """
        found: dict[SessionRef, RunRecord] = {}
        singles: dict[SessionRef, RunRecord] = {}
        these, value = among(refs, "adapter", "session_id")
        query = f"{_LISTED_RUNS} WHERE {these} AND {_OF_ITS_OWN} ORDER BY runs.number"
        for row in self.rows(query, value):
            run = read_run(row)
            ref = SessionRef(run.adapter, run.session_id)
            if run.workflow_path is None:
                singles[ref] = run
                continue
            singles.pop(ref, None)
            earlier = found.get(ref)
            if earlier is None or run.status.unfinished or not earlier.status.unfinished:
                found[ref] = run
        for ref, run in singles.items():
            earlier = found.get(ref)
            if earlier is None or (run.status.unfinished and not earlier.status.unfinished):
                found[ref] = run
        return found

    def place_attempts(self, run_id: str, moved: Mapping[str, str]) -> None:
        """Lay a run's attempts under its plan: those at paths in `moved` (old -> new) go with
        their step, all others are superseded: kept, but no longer part of the run.
        """
        with self.database.write("ledger.plan") as connection:
            live = connection.execute(
                "SELECT number, path FROM attempts WHERE run_id = ? AND superseded = 0",
                (run_id,),
            ).fetchall()
            for row in live:
                new = moved.get(row["path"])
                if new is None:
                    statement = "UPDATE attempts SET superseded = 1 WHERE number = ?"
                    connection.execute(statement, (row["number"],))
                elif new != row["path"]:
                    statement = "UPDATE attempts SET path = ? WHERE number = ?"
                    connection.execute(statement, (new, row["number"]))
            place_called(connection, run_id, moved)

    # -- attempts ---------------------------------------------------------------------------------

    def begin_step(
        self,
        run_id: str,
        *,
        path: str,
        cycle: int,
        kind: str,
        title: str,
        digest: str,
        session_id: str | None,
        turn_id: str | None = None,
        prompt: str | None = None,
        journal_position: int | None = None,
        follows: str | None = None,
        command: str | None = None,
        snapshot_before: str | None = None,
        seen: int | None = None,
        value: str | None = None,
    ) -> StepRecord:
        """Record that a step is about to act, with what `StepRecord` says of it."""
        values = {
            "run_id": run_id,
            "path": path,
            "cycle": cycle,
            "kind": kind,
            "title": self.redact(title),
            "digest": digest,
            "status": StepStatus.BEGUN.value,
            "session_id": session_id,
            "turn_id": turn_id,
            "prompt": self._clean(prompt),
            "prompt_digest": prompt_digest(prompt) if prompt is not None else None,
            "journal_position": journal_position,
            "follows": follows,
            "command": command,
            "snapshot_before": snapshot_before,
            "seen": seen,
            "value": value,
            "audited": 1,
            "started_at": _now().isoformat(),
        }
        with self.database.write("ledger.begin") as connection:
            insert_row(connection, "attempts", values)
        return self._existing_step(run_id, path)

    def accept_step(self, run_id: str, path: str, message_id: str) -> None:
        """Record the runtime's id of the prompt that was sent, soon: the journal knows it by its
        text as well.
        """
        number = self._open_attempt(run_id, path)
        self._change("ledger.accept", number, {"message_id": message_id}, soon=True)

    def finish_step(
        self,
        run_id: str,
        path: str,
        status: StepStatus,
        *,
        response: str | None = None,
        tools: Sequence[ToolCall] = (),
        usage: Usage | None = None,
        error: str | None = None,
        exit_status: int | None = None,
        snapshot: str | None = None,
        value: str | None = None,
    ) -> StepRecord:
        """Record how the open attempt ended, the tree it left, and as JSON what it gave or decided.

        Raises StoreError if it has an outcome already.
        """
        values: dict[str, object] = {
            "status": status.value,
            "response": self._clean(response),
            "tools": msgspec.json.encode([self._clean_call(call) for call in tools]).decode(),
            "usage": msgspec.json.encode(usage or Usage()).decode(),
            "error": self._clean(error),
            "exit_status": exit_status,
            "snapshot": snapshot,
            "completed_at": _now().isoformat(),
        }
        if value is not None:
            values["value"] = self._clean_json(value)
        self._change("ledger.finish", self._open_attempt(run_id, path), values)
        return self._existing_step(run_id, path)

    def answer_step(self, run_id: str, path: str, answer: str, comment: str | None) -> bool:
        """Record what a human said at an open gate; False: it was answered already."""
        with self.database.write("ledger.answer") as connection:
            return bool(
                connection.execute(
                    "UPDATE attempts SET answer = ?, comment = ? WHERE run_id = ? AND path = ? "
                    "AND superseded = 0 AND status = 'begun' AND answer IS NULL",
                    (self.redact(answer), self._clean(comment), run_id, path),
                ).rowcount
            )

    def supersede_step(self, run_id: str, path: str) -> None:
        """Take a step's attempts out of the run, so that it runs again; the rows stay."""
        with self.database.write("ledger.supersede") as connection:
            connection.execute(
                "UPDATE attempts SET superseded = 1 WHERE run_id = ? AND path = ?",
                (run_id, path),
            )
            connection.execute(
                "UPDATE runs SET parent_path = NULL, item = NULL "
                "WHERE parent_run = ? AND parent_path = ?",
                (run_id, path),
            )

    def step(self, run_id: str, path: str) -> StepRecord | None:
        """The last attempt at a step."""
        rows = self.rows(f"{_STEPS} WHERE a.run_id = ? AND a.path = ? AND {_LAST}", run_id, path)
        return read_step(rows[0]) if rows else None

    def steps(self, run_id: str) -> list[StepRecord]:
        """The last attempt at each step, in the order of the plan."""
        rows = self.rows(f"{_STEPS} WHERE a.run_id = ? AND {_LAST}", run_id)
        return sorted(map(read_step, rows), key=lambda step: path_key(step.path))

    def attempts(self, run_id: str) -> list[StepRecord]:
        """All attempts, superseded ones too, in the order they were begun."""
        rows = self.rows(f"{_STEPS} WHERE a.run_id = ? ORDER BY a.number", run_id)
        return [read_step(row) for row in rows]

    def attempts_at(self, run_id: str, path: str) -> list[StepRecord]:
        """The attempts at one step that are part of the run, in the order they were begun."""
        rows = self.rows(
            f"{_STEPS} WHERE a.run_id = ? AND a.path = ? AND a.superseded = 0 ORDER BY a.number",
            run_id,
            path,
        )
        return [read_step(row) for row in rows]

    def other_messages(self, record: StepRecord) -> frozenset[str]:
        """The runtime's ids of the other prompts of an attempt's session, also superseded ones."""
        rows = self.rows(
            "SELECT message_id FROM attempts WHERE session_id = ? AND turn_id <> ? "
            "AND message_id IS NOT NULL",
            record.session_id,
            record.turn_id,
        )
        return frozenset(row["message_id"] for row in rows)

    def turns_of(self, ref: SessionRef) -> list[StepRecord]:
        """The answered prompts of a session, in the order they were begun."""
        rows = self.rows(
            f"""{_STEPS} JOIN runs ON runs.id = a.run_id WHERE runs.adapter = ?
            AND a.session_id = ? AND a.status = 'done' AND a.turn_id IS NOT NULL
            ORDER BY a.number""",
            ref.adapter,
            ref.id,
        )
        return [read_step(row) for row in rows]

    # -- sessions ---------------------------------------------------------------------------------

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

    def session_names(self, refs: Collection[SessionRef] | None = None) -> dict[SessionRef, str]:
        """The sessions that sdqctl made, or those of these, with their names."""
        these, value = among(refs, "adapter", "id")
        rows = self.rows(f"SELECT adapter, id, name FROM sessions WHERE {these}", value)
        return {SessionRef(row["adapter"], row["id"]): row["name"] for row in rows}

    def forget_session(self, ref: SessionRef) -> None:
        """Delete all that is recorded of a session."""
        key = (ref.adapter, ref.id)
        with self.database.write("ledger.session") as connection:
            connection.execute("DELETE FROM runs WHERE adapter = ? AND session_id = ?", key)
            for table in ("sessions", "kept_sessions", "unsettled_sessions"):
                connection.execute(f"DELETE FROM {table} WHERE adapter = ? AND id = ?", key)

    def keep_session(self, ref: SessionRef, *, keep: bool) -> None:
        """Protect a session from cleanup, or no longer."""
        with self.database.write("ledger.session") as connection:
            key = (ref.adapter, ref.id)
            connection.execute("DELETE FROM kept_sessions WHERE adapter = ? AND id = ?", key)
            if keep:
                connection.execute("INSERT INTO kept_sessions VALUES (?, ?)", key)

    def unfinished_sessions(self, refs: Collection[SessionRef] | None = None) -> set[SessionRef]:
        """Those (of these) in which an unfinished run did something, also those it left again."""
        these, value = among(refs, "runs.adapter", "attempts.session_id")
        query = f"""
            SELECT DISTINCT runs.adapter, attempts.session_id
            FROM attempts JOIN runs ON runs.id = attempts.run_id
            WHERE {these} AND runs.status <> ?2 AND attempts.session_id IS NOT NULL
        """
        return {SessionRef(*row) for row in self.rows(query, value, RunStatus.COMPLETED.value)}

    def kept_sessions(self, refs: Collection[SessionRef] | None = None) -> set[SessionRef]:
        """The sessions, or those of these, that cleanup leaves alone."""
        these, value = among(refs, "adapter", "id")
        query = f"SELECT adapter, id FROM kept_sessions WHERE {these}"
        return {SessionRef(*row) for row in self.rows(query, value)}

    def is_untouched(self, ref: SessionRef) -> bool:
        """Whether sdqctl made a session, and no prompt was answered in it: it may be made again."""
        return ref in self.session_names([ref]) and not self.turns_of(ref)

    # -- the file ---------------------------------------------------------------------------------

    @property
    def database(self) -> Database:
        """The open file, for the other modules of the store. Raises StoreError when read-only."""
        if self._database is None:
            raise StoreError("the ledger was opened for reading")
        return self._database

    @property
    def is_missing(self) -> bool:
        """Whether there was none when it was opened for reading."""
        return self._database is None

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query of the store's modules finds; nothing where there is no ledger yet."""
        return self._database.rows(query, *values) if self._database is not None else []

    def _clean_call(self, call: ToolCall) -> ToolCall:
        return msgspec.structs.replace(call, summary=self.redact(call.summary))

    def _clean_json(self, text: str) -> str:
        """A JSON text without the secrets in its strings."""
        if self.redact(text) == text:
            return text
        return msgspec.json.encode(redacted(msgspec.json.decode(text), self.redact)).decode()

    def _clean(self, text: str | None) -> str | None:
        return None if text is None else self.redact(text)

    def _existing(self, run_id: str) -> RunRecord:
        run = self.run(run_id)
        if run is None:
            raise StoreError(f"run {run_id} is not in the ledger")
        return run

    def _existing_step(self, run_id: str, path: str) -> StepRecord:
        step = self.step(run_id, path)
        if step is None:
            raise StoreError(f"step {path} of run {run_id} is not in the ledger")
        return step

    def _open_attempt(self, run_id: str, path: str) -> int:
        rows = self.rows(
            f"SELECT a.number, a.status FROM attempts AS a "
            f"WHERE a.run_id = ? AND a.path = ? AND {_LAST}",
            run_id,
            path,
        )
        if not rows or rows[0]["status"] != StepStatus.BEGUN:
            raise StoreError(f"step {path} of run {run_id} has its outcome already")
        return int(rows[0]["number"])

    def _change(
        self, name: str, number: int, values: dict[str, object], *, soon: bool = False
    ) -> None:
        write = self.database.write_soon if soon else self.database.write
        with write(name) as connection:
            if "status" in values:
                values["ended"] = take_moments(connection)
            columns = ", ".join(f"{column} = ?" for column in values)
            changed = connection.execute(
                f"UPDATE attempts SET {columns} WHERE number = ? AND status = 'begun'",
                (*values.values(), number),
            ).rowcount
            if changed != 1:
                raise StoreError(f"attempt {number} has its outcome already")


def _plain(value: object) -> object:
    return value.value if isinstance(value, RunStatus) else value


def _now() -> datetime:
    return datetime.now(UTC)

"""The ledger's record of tool requests: written when a request is decided, before the tool acts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import msgspec

from sdqctl.errors import StoreError
from sdqctl.model.audit import Source, ToolRecord
from sdqctl.model.session import SessionRef
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import insert_row, read_request

_LONGEST_TARGET = 4000
_LONGEST_REASON = 500
_LONGEST_READ = 65_536
"""Characters of a text that are looked through for secrets."""
_CURRENT = """
    SELECT path, turn_id, session_id, (
        SELECT count(*) FROM attempts AS b
        WHERE b.run_id = a.run_id AND b.path = a.path AND b.number <= a.number
    ) AS attempt FROM attempts AS a
    WHERE a.run_id = ? AND a.status = 'begun' AND a.superseded = 0
    ORDER BY a.turn_id IS NULL, a.number DESC LIMIT 1
"""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt of the ledger, by which its turn is found in the runtime's journal."""

    run_id: str
    path: str
    message_id: str
    turn_id: str | None
    audited: bool
    """Whether tool requests were recorded when it was sent."""


def record_request(
    ledger: Ledger, run_id: str, request: ToolRequest, decision: ToolDecision
) -> int:
    """Record a decision of a running step; returns the record's number. Raises StoreError.

    When this returns the record of what may have an effect is on disk; that of a refusal, and of
    reading, is there with the next record that must be.
    """
    by_user = decision.by == "the user"
    record = ToolRecord(
        tool_call_id=request.tool_call_id,
        tool=request.tool or None,
        kind=request.kind.value,
        target="\n".join((request.target, *request.paths)),
        allowed=decision.allowed,
        by=decision.by or "the policy",
        reason=decision.why or decision.reason,
        source=Source.USER if by_user else request.source,
    )
    acts = decision.allowed and request.kind is not ToolKind.READ
    database = ledger.database
    return _insert(ledger, run_id, record, database.write if acts else database.write_soon)


def complete_request(ledger: Ledger, number: int, tool_call_id: str) -> None:
    """Add the call's id to a record that was made before the runtime asked. Raises StoreError."""
    with ledger.database.write_soon("ledger.tool") as connection:
        connection.execute(
            "UPDATE tool_requests SET tool_call_id = ?, source = ? "
            "WHERE number = ? AND tool_call_id IS NULL",
            (tool_call_id, Source.POLICY.value, number),
        )


def record_net_refusal(
    ledger: Ledger,
    run_id: str,
    *,
    kind: ToolKind,
    target: str,
    by: str,
    reason: str,
    tool_call_id: str | None = None,
    tool: str | None = None,
) -> None:
    """Record what the operating system refused to a program of a running step.

    `by` names the net and its rule (`landlock: writes below /project`). Raises StoreError.
    """
    record = ToolRecord(
        tool_call_id=tool_call_id,
        tool=tool,
        kind=kind.value,
        target=target,
        allowed=False,
        by=by,
        reason=reason,
        source=Source.NET,
    )
    _insert(ledger, run_id, record, ledger.database.write_soon)


def requests_of(ledger: Ledger, ref: SessionRef) -> list[ToolRecord]:
    """The requests of a session, in the order they were decided in."""
    rows = ledger.rows(
        """SELECT t.* FROM tool_requests AS t JOIN runs ON runs.id = t.run_id
        WHERE runs.adapter = ? AND t.session_id = ? ORDER BY t.number""",
        ref.adapter,
        ref.id,
    )
    return [read_request(row) for row in rows]


def acted_in(ledger: Ledger, run_id: str, turn_id: str) -> list[str]:
    """The tools that may have changed something in a turn: their names, or kinds."""
    query = """SELECT DISTINCT coalesce(tool, kind) AS name FROM tool_requests
        WHERE run_id = ? AND turn_id = ? AND allowed = 1 AND kind != ? ORDER BY name"""
    return [row["name"] for row in ledger.rows(query, run_id, turn_id, ToolKind.READ.value)]


def targets_of(ledger: Ledger, run_id: str, path: str) -> list[str]:
    """What the tools of a step were allowed to act on: paths and command lines."""
    query = "SELECT target FROM tool_requests WHERE run_id = ? AND path = ? AND allowed = 1"
    return [row["target"] for row in ledger.rows(query, run_id, path)]


def attempts_of(ledger: Ledger, ref: SessionRef) -> dict[str, Attempt]:
    """The prompts of a session by the runtime's ids of them."""
    rows = ledger.rows(
        """SELECT a.run_id, a.path, a.message_id, a.turn_id, min(a.audited) AS audited
        FROM attempts AS a JOIN runs ON runs.id = a.run_id
        WHERE runs.adapter = ? AND a.session_id = ? AND a.message_id IS NOT NULL
        GROUP BY a.message_id""",
        ref.adapter,
        ref.id,
    )
    found = (dict(row) | {"audited": bool(row["audited"])} for row in rows)
    return {row["message_id"]: Attempt(**row) for row in found}


def _insert(
    ledger: Ledger,
    run_id: str,
    record: ToolRecord,
    write: Callable[[str], AbstractContextManager[sqlite3.Connection]],
) -> int:
    """Insert a record under the step that is at work."""
    with write("ledger.tool") as connection:
        current = connection.execute(_CURRENT, (run_id,)).fetchone()
        if current is None:
            query = "SELECT NULL AS path, NULL AS turn_id, session_id, NULL AS attempt FROM runs"
            current = connection.execute(f"{query} WHERE id = ?", (run_id,)).fetchone()
        if current is None:
            raise StoreError(f"run {run_id} is not in the ledger")
        values = {
            "run_id": run_id,
            "session_id": current["session_id"],
            "path": current["path"],
            "attempt": current["attempt"],
            "turn_id": current["turn_id"],
            "tool_call_id": record.tool_call_id,
            "tool": record.tool,
            "kind": record.kind,
            "target": _bounded(ledger, record.target, _LONGEST_TARGET),
            "allowed": int(record.allowed),
            "decided_by": _bounded(ledger, record.by, _LONGEST_REASON),
            "reason": _bounded(ledger, record.reason, _LONGEST_REASON),
            "source": record.source,
            "decided_at": datetime.now(UTC).isoformat(),
        }
        insert_row(connection, "tool_requests", values)
        row = connection.execute("SELECT last_insert_rowid()").fetchone()
        return int(row[0])


def _bounded(ledger: Ledger, text: str, longest: int) -> str:
    """A text without secrets, cut to a length after they were taken out."""
    clean = ledger.redact(text[:_LONGEST_READ])
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"

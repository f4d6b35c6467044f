"""What a run under way and other processes say to each other, through the ledger.

The run asks about a tool and looks for the answer; others answer, once, or ask the run to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from sdqctl.model.tools import PermissionQuestion, ToolRequest
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import redacted

_OPEN = "SELECT * FROM questions WHERE closed_at IS NULL"


def forget_messages(ledger: Ledger, run_id: str) -> None:
    """Close what an earlier process of a run left open: nobody waits for it."""
    left = ledger.rows(f"{_OPEN} AND run_id = ? LIMIT 1", run_id)
    if not left and not is_asked_to_end(ledger, run_id):
        return
    with ledger.database.write("ledger.messages") as connection:
        connection.execute("DELETE FROM interrupts WHERE run_id = ?", (run_id,))
        connection.execute(
            "UPDATE questions SET closed_at = ? WHERE run_id = ? AND closed_at IS NULL",
            (_now(), run_id),
        )


def put_question(ledger: Ledger, run_id: str, request: ToolRequest, why: str) -> int:
    """Ask about a tool request; returns the question's number."""
    clean = redacted(msgspec.to_builtins(request), ledger.redact)
    values = (run_id, msgspec.json.encode(clean).decode(), ledger.redact(why), _now())
    with ledger.database.write("ledger.question") as connection:
        row = connection.execute(
            "INSERT INTO questions (run_id, request, why, asked_at) VALUES (?, ?, ?, ?)", values
        )
        return int(row.lastrowid or 0)


def answer_question(ledger: Ledger, number: int, answer: str) -> bool:
    """Answer an open question; False: it was answered already, or nobody waits any more."""
    return _close(ledger, number, answer)


def close_question(ledger: Ledger, number: int) -> None:
    """Nobody waits for an answer any more."""
    _close(ledger, number, None)


def _close(ledger: Ledger, number: int, answer: str | None) -> bool:
    with ledger.database.write("ledger.reply") as connection:
        changed = connection.execute(
            "UPDATE questions SET answer = ?, closed_at = ? WHERE number = ? AND closed_at IS NULL",
            (answer, _now(), number),
        ).rowcount
    return bool(changed)


def answer_of(ledger: Ledger, number: int) -> str | None:
    """What was answered; None: nothing yet."""
    rows = ledger.rows("SELECT answer FROM questions WHERE number = ?", number)
    return rows[0]["answer"] if rows else None


def open_questions(ledger: Ledger, runs: Sequence[str] | None = None) -> list[PermissionQuestion]:
    """The questions that wait, in the order they were asked; of these runs, or of all."""
    found = (_question(dict(row)) for row in ledger.rows(f"{_OPEN} ORDER BY number"))
    return [one for one in found if runs is None or one.run_id in runs]


def _question(row: dict[str, str]) -> PermissionQuestion:
    return PermissionQuestion(
        number=int(row["number"]),
        run_id=row["run_id"],
        request=msgspec.json.decode(row["request"], type=ToolRequest),
        why=row["why"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
    )


def ask_to_end(ledger: Ledger, run_id: str) -> None:
    """Ask the process that drives a run to interrupt it; twice is as once."""
    with ledger.database.write("ledger.interrupt") as connection:
        connection.execute("INSERT OR IGNORE INTO interrupts VALUES (?, ?)", (run_id, _now()))


def is_asked_to_end(ledger: Ledger, run_id: str) -> bool:
    """Whether somebody asked a run to end."""
    return bool(ledger.rows("SELECT 1 FROM interrupts WHERE run_id = ?", run_id))


def _now() -> str:
    return datetime.now(UTC).isoformat()

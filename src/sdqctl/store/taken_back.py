"""Attempts that a rewind takes out of their runs: they are kept, but no longer part of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sdqctl.model.run import RunStatus, StepRecord
from sdqctl.store.ledger import Ledger

_ORPHAN = """
    UPDATE runs SET parent_path = NULL, item = NULL WHERE parent_run = ?1 AND (
        parent_path = ?2
        OR parent_path IS NULL AND (SELECT min(number) FROM attempts WHERE run_id = runs.id) > ?3
    )
"""
_END = """
    UPDATE runs SET status = 'completed', updated_at = ?1, completed_at = ?1 WHERE id = ?2
    AND NOT EXISTS (SELECT 1 FROM attempts WHERE run_id = runs.id AND superseded = 0)
"""
_REOPEN = """
    UPDATE runs SET status = ?1, message = ?2, updated_at = ?3, completed_at = NULL WHERE id = ?4
"""


def take_back(ledger: Ledger, run_id: str, going: Sequence[StepRecord], message: str) -> None:
    """Take attempts out of their runs, with the runs that they called.

    The run with `run_id` is interrupted if any are of it; the others are over when nothing is left
    of them. Done again, it comes to the same.
    """
    live = [attempt for attempt in going if not attempt.superseded]
    now = datetime.now(UTC).isoformat()
    with ledger.database.write("ledger.rewind") as connection:
        for attempt in live:
            number = (attempt.number,)
            connection.execute("UPDATE attempts SET superseded = 1 WHERE number = ?", number)
            if attempt.kind == "call":
                own = (attempt.run_id, attempt.path, attempt.number)
                connection.execute(_ORPHAN, own)
        for one in {attempt.run_id for attempt in live}:
            if one == run_id:
                values = (RunStatus.INTERRUPTED.value, message, now, run_id)
                connection.execute(_REOPEN, values)
            else:
                connection.execute(_END, (now, one))

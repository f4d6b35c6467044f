"""The steps that wait for a human, and whether one was told that they wait."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sdqctl.store.ledger import Ledger


def record_shown(home: Path, run_id: str, path: str) -> None:
    """Record that the message of a PAUSE or CONSULT was written to a human; the first time counts.

    The ledger is opened for it: it is closed by the time a command writes its last line.
    Raises StoreError and its kinds.
    """
    with Ledger.open(home) as ledger, ledger.database.write("ledger.shown") as connection:
        connection.execute(
            "UPDATE attempts SET shown_at = ? WHERE run_id = ? AND path = ? "
            "AND superseded = 0 AND status = 'begun' AND shown_at IS NULL",
            (datetime.now(UTC).isoformat(), run_id, path),
        )

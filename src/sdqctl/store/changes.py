"""Whether other processes changed the ledger since it was last looked at."""

from __future__ import annotations

from datetime import datetime

from sdqctl.model.run import RunStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger


class Changes:
    """Looks at what SQLite shares in memory between the processes that have the ledger open; a look
    costs microseconds. The files alone would not do: they change before what was written is seen.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: int | None = None

    def seen(self) -> bool:
        """Whether anything was committed since the last look, but by this connection; the first
        look says yes. Raises StoreError and its kinds.
        """
        rows = self._ledger.rows("PRAGMA data_version")  # sqlite.org/pragma.html
        before, self._seen = self._seen, rows[0][0] if rows else None
        return self._seen != before


def runs_since(ledger: Ledger, moment: datetime) -> set[SessionRef]:
    """The sessions whose runs were written since a moment, or go on."""
    rows = ledger.rows(
        "SELECT DISTINCT adapter, session_id FROM runs WHERE status = ? OR updated_at >= ?",
        RunStatus.RUNNING.value,
        moment.isoformat(),
    )
    return {SessionRef(row["adapter"], row["session_id"]) for row in rows}


def made_by_us(ledger: Ledger) -> set[SessionRef]:
    """The sessions that sdqctl made and that were not deleted."""
    rows = ledger.rows("SELECT adapter, id FROM sessions")
    return {SessionRef(row["adapter"], row["id"]) for row in rows}

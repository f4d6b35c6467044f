"""Where the ledger says how the work tree was: before and after each attempt at a step."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sdqctl.errors import StoreError
from sdqctl.model.run import StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger

_ATTEMPTS = """
    SELECT a.run_id, a.path, a.kind, a.title, a.status, a.superseded,
        a.snapshot_before, a.snapshot, a.session_id, runs.adapter, runs.keeper
    FROM attempts AS a JOIN runs ON runs.id = a.run_id
    WHERE (a.snapshot_before IS NOT NULL OR a.snapshot IS NOT NULL)
"""


class Snapshots(msgspec.Struct, frozen=True, kw_only=True):
    """The trees of one attempt: the git commits of before it began and after it ended.

    `snapshot` of an attempt that is not done is the half-done tree that it left, where that was
    seen. `keeper` is the git folder that has the commits.
    """

    run_id: str
    path: str
    kind: str
    title: str
    status: StepStatus
    superseded: bool
    snapshot_before: str | None
    snapshot: str | None
    adapter: str
    session_id: str | None
    keeper: str | None


def snapshots_of(ledger: Ledger, ref: SessionRef) -> list[Snapshots]:
    """The trees of a session's attempts, in the order these were begun."""
    query = f"{_ATTEMPTS} AND runs.adapter = ? AND a.session_id = ? ORDER BY a.number"
    return [_read(dict(row)) for row in ledger.rows(query, ref.adapter, ref.id)]


def all_snapshots(ledger: Ledger) -> Iterator[Snapshots]:
    """Those of all sessions."""
    for row in ledger.rows(f"{_ATTEMPTS} ORDER BY a.number"):
        yield _read(dict(row))


def last_snapshot(ledger: Ledger, ref: SessionRef) -> str | None:
    """The newest tree of a session that is recorded."""
    found = snapshots_of(ledger, ref)
    return next((each.snapshot or each.snapshot_before for each in reversed(found)), None)


def note_half_done(ledger: Ledger, run_id: str, path: str, snapshot: str) -> None:
    """Record the tree that the last attempt at a step left. Raises StoreError for one that is done,
    whose tree is never changed.
    """
    with ledger.database.write("ledger.half-done") as connection:
        changed = connection.execute(
            "UPDATE attempts SET snapshot = ? WHERE status <> 'done' AND number = (SELECT "
            "max(number) FROM attempts WHERE run_id = ? AND path = ? AND superseded = 0)",
            (snapshot, run_id, path),
        ).rowcount
        if changed != 1:
            raise StoreError(f"step {path} of run {run_id} is done, or was not begun")


def _read(row: dict[str, object]) -> Snapshots:
    return msgspec.convert(row | {"superseded": bool(row["superseded"])}, type=Snapshots)

"""Where the ledger says how the work tree was: before and after each attempt at a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from sdqctl.errors import StoreError
from sdqctl.model.run import RunRecord, StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.store.calls import called_at
from sdqctl.store.ledger import Ledger

_ATTEMPTS = """
    SELECT a.number,
        coalesce(CASE WHEN a.snapshot IS NULL THEN a.seen ELSE a.ended END, a.number) AS taken,
        a.run_id, a.path, a.kind, a.title, a.status, a.superseded,
        a.snapshot_before, a.snapshot, a.session_id, runs.adapter, runs.keeper
    FROM attempts AS a JOIN runs ON runs.id = a.run_id
    WHERE (a.snapshot_before IS NOT NULL OR a.snapshot IS NOT NULL)
"""


class Snapshots(msgspec.Struct, frozen=True, kw_only=True):
    """The trees of one attempt: the git commits of before it began and after it ended.

    `snapshot` of an attempt that is not done is the half-done tree that it left, where that was
    seen. `keeper` is the git folder that has the commits. `taken` is when the last of the two was
    taken, in the order in which attempts begin and end.
    """

    number: int
    taken: int
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

    @property
    def last(self) -> str | None:
        """The later one of the two."""
        return self.snapshot or self.snapshot_before

    @property
    def is_open_call(self) -> bool:
        """Whether it calls a run, and is not done."""
        return self.kind == "call" and not self.status.settled and not self.superseded


def snapshots_of(ledger: Ledger, ref: SessionRef) -> list[Snapshots]:
    """The trees of a session's attempts, in the order in which the last of each was taken."""
    query = f"{_ATTEMPTS} AND runs.adapter = ? AND a.session_id = ? ORDER BY taken, a.number"
    return [_read(dict(row)) for row in ledger.rows(query, ref.adapter, ref.id)]


def all_snapshots(ledger: Ledger) -> Iterator[Snapshots]:
    """Those of all sessions."""
    for row in ledger.rows(f"{_ATTEMPTS} ORDER BY a.number"):
        yield _read(dict(row))


def last_snapshot(
    ledger: Ledger, ref: SessionRef, is_here: Callable[[RunRecord], bool]
) -> str | None:
    """The newest tree that is recorded of a session, and of the runs that open steps of it call, as
    far as these work in the same tree (`is_here`).
    """
    found = _with_called(ledger, snapshots_of(ledger, ref), is_here)
    newest = max(found, key=lambda each: (each.taken, each.number), default=None)
    return None if newest is None else newest.last


def _with_called(
    ledger: Ledger, own: list[Snapshots], is_here: Callable[[RunRecord], bool]
) -> list[Snapshots]:
    """Those of a run; instead of what it did before its first open CALL, those of the runs that are
    called. Moments alone do not say that these are newer: one of the two may be restored.
    """
    inner: list[Snapshots] = []
    calls: list[int] = []
    for each in own:
        run = called_at(ledger, each.run_id, each.path) if each.is_open_call else None
        if run is not None and is_here(run):
            rows = ledger.rows(f"{_ATTEMPTS} AND a.run_id = ?", run.id)
            if found := _with_called(ledger, [_read(dict(row)) for row in rows], is_here):
                inner += found
                calls.append(each.number)
    first = min(calls, default=0)
    return [*inner, *(each for each in own if each.number > first)]


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

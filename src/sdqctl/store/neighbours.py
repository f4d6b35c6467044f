"""Which other runs were at work meanwhile, in the order in which attempts begin and end.

What a run calls, and what calls it, is part of it. Attempts that saw no tree here were copied, or
carried here: nobody was at work then.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sdqctl.model.run import GATES, StepRecord
from sdqctl.store.ledger import Ledger
from sdqctl.store.life import LAG, last_sign

_IDLE = ("call", *GATES)
"""Kinds of steps that may be open for long, in which the run itself changes no files."""
_ACTING = f"seen IS NOT NULL AND kind NOT IN {_IDLE}"
_SINCE = f"""
    WITH RECURSIVE callers (id) AS (
        SELECT ?2 UNION SELECT parent_run FROM runs JOIN callers USING (id)
        WHERE parent_run IS NOT NULL
    ), called (id) AS (
        SELECT ?2 UNION SELECT runs.id FROM runs JOIN called ON runs.parent_run = called.id
    ), found (run_id, is_open) AS (
        SELECT run_id, 0 FROM attempts WHERE number > ?1 AND {_ACTING}
        UNION SELECT run_id, 0 FROM attempts WHERE ended > ?1 AND {_ACTING}
        UNION SELECT run_id, 1 FROM attempts WHERE status = 'begun' AND {_ACTING}
    )
    SELECT runs.id AS run_id, coalesce(session_name, session_id) AS name, cwd,
        min(is_open) AS is_open
    FROM found JOIN runs ON runs.id = found.run_id
    WHERE keeper IS NOT NULL AND cwd IS NOT NULL
        AND runs.id NOT IN callers AND runs.id NOT IN called
    GROUP BY runs.id ORDER BY runs.number
"""
"""Each part of `found` by an index of its own: what ended long ago is not looked at."""


class Neighbour(msgspec.Struct, frozen=True):
    """A run whose steps may have changed files, and the folder that it works in."""

    name: str
    cwd: str


def moment(ledger: Ledger) -> int:
    """Now, as a place in the order of all begins and ends."""
    rows = ledger.rows("SELECT seq FROM sqlite_sequence WHERE name = 'attempts'")
    return int(rows[0]["seq"]) if rows else 0


def at_work_since(ledger: Ledger, home: Path, step: StepRecord) -> list[Neighbour]:
    """The other runs with snapshots that were at work at any time since the tree was looked at
    before an attempt at a step.
    """
    since = step.number if step.seen is None else step.seen
    return [
        Neighbour(row["name"], row["cwd"])
        for row in ledger.rows(_SINCE, since, step.run_id)
        if not row["is_open"] or _lived(home, row["run_id"], step)
    ]


def _lived(home: Path, run_id: str, step: StepRecord) -> bool:
    """Whether a run with an open attempt was driven when a step began, or later: one that was
    killed long before may stay open for ever.
    """
    sign, begun = last_sign(home, run_id), step.started_at
    return sign is not None and (begun is None or sign.time + LAG >= begun.timestamp())

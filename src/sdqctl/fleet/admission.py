"""Whether a run may begin now: how many go at a time, of a tag and in all, and what is left of the
budget of its batch. One for which there is no room is put aside until there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdqctl.fleet.engine import cancel, defer_missing

if TYPE_CHECKING:
    from psycopg import Connection

    from sdqctl.fleet.database import Database
    from sdqctl.model.session import Usage

ALL = ""
"""Stands for all tags together."""
_FAILED = 4
"""The exit code of a run whose budget is used up."""


@dataclass(frozen=True)
class Budget:
    """What the runs of a batch may use together."""

    tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Admitted:
    """A run that may begin. `is_limited`: others may wait for its end."""

    batch: int | None
    is_limited: bool


def admit(connection: Connection, number: int, job: int) -> Admitted | None:
    """Whether a run may begin in a job, within an open transaction. None: not in this job any
    more, or not now; then it was put aside, or ended.
    """
    row = connection.execute(
        "SELECT r.tag, r.batch, EXISTS (SELECT 1 FROM sdqctl.room AS o WHERE o.tag IN (r.tag, '')) "
        "FROM sdqctl.runs AS r WHERE number = %s AND job = %s AND status IN ('queued', 'running')",
        (number, job),
    ).fetchone()
    if row is None:
        return None
    tag, batch, is_limited = row
    if is_limited and not _has_room(connection, number, tag):
        return None
    if batch is not None and not _has_budget(connection, number, batch):
        return None
    return Admitted(batch, is_limited)


def let_in(database: Database, tags: Sequence[str] | None) -> int:
    """Put those in again that were put aside and for which there is room now; returns how many."""
    with database.transaction() as connection:
        most = _limits(connection)
        waiting = connection.execute(
            "SELECT number, tag FROM sdqctl.runs WHERE waits AND status = 'queued' AND job IS NULL "
            "AND (%s::text[] IS NULL OR tag = ANY(%s)) ORDER BY priority DESC, number",
            (tags, tags),
        ).fetchall()
        if not waiting:
            return 0
        begun = connection.execute(
            "SELECT tag, count(*) FROM sdqctl.runs WHERE status = 'running' OR (status = 'queued' "
            "AND job IS NOT NULL AND (%s::text[] IS NULL OR tag = ANY(%s))) GROUP BY tag",
            (tags, tags),
        ).fetchall()
        chosen = _chosen(waiting, {str(tag): int(number) for tag, number in begun}, most)
        connection.execute(
            "UPDATE sdqctl.runs SET waits = false, message = NULL WHERE number = ANY(%s) "
            "AND waits AND status = 'queued'",
            (chosen,),
        )
        defer_missing(connection, chosen)
    return len(chosen)


def _chosen(
    waiting: Sequence[tuple[int, str]], begun: Mapping[str, int], most: Mapping[str, int]
) -> list[int]:
    """Those of the runs that wait for which there is room, the first ones first."""
    going = Counter(begun)
    going[ALL] = sum(begun.values())
    chosen = []
    for number, tag in waiting:
        if all(going[each] < most[each] for each in (tag, ALL) if each in most):
            chosen.append(number)
            going.update((tag, ALL))
    return chosen


def set_room(database: Database, tag: str, most: int | None) -> None:
    """Let so many runs of a tag, or of all, go at a time; None: as many as there are workers."""
    with database.connection() as connection:
        if most is None:
            connection.execute("DELETE FROM sdqctl.room WHERE tag = %s", (tag,))
        else:
            connection.execute(
                "INSERT INTO sdqctl.room VALUES (%s, %s) ON CONFLICT (tag) DO UPDATE SET "
                "most = excluded.most",
                (tag, most),
            )
    let_in(database, None)


def _limits(connection: Connection, tags: Collection[str] | None = None) -> dict[str, int]:
    """How many runs may go at a time, by tag; nobody else looks until the transaction ends."""
    rows = connection.execute(
        "SELECT tag, most FROM sdqctl.room WHERE %s::text[] IS NULL OR tag = ANY(%s) "
        "ORDER BY tag FOR UPDATE",
        (tags, tags),
    ).fetchall()
    return {str(tag): int(most) for tag, most in rows}


def _has_room(connection: Connection, number: int, tag: str) -> bool:
    for limited, most in _limits(connection, [ALL, tag]).items():
        row = connection.execute(
            "SELECT count(*) FROM sdqctl.runs WHERE status = 'running' AND number <> %s "
            "AND %s IN ('', tag)",
            (number, limited),
        ).fetchone()
        if row is not None and row[0] >= most:
            what = f"of tag {limited}" if limited else "in all"
            _put_aside(connection, limited, f"waits: {most} at a time {what} (`queue limit`)")
            return False
    return True


def _put_aside(connection: Connection, tag: str, message: str) -> None:
    """Take all runs out of the engine that wait for the same room."""
    rows = connection.execute(
        "UPDATE sdqctl.runs AS r SET waits = true, job = NULL, message = %s FROM (SELECT number, "
        "job FROM sdqctl.runs WHERE status = 'queued' AND job IS NOT NULL AND %s IN ('', tag) "
        "FOR UPDATE) AS b WHERE r.number = b.number RETURNING b.job",
        (message, tag),
    ).fetchall()
    cancel(connection, [row[0] for row in rows], abort=False)


# -- what a batch may use -------------------------------------------------------------------------


def batch_for(database: Database, names: Sequence[tuple[str, str]], budget: Budget) -> int:
    """The batch that runs of these adapters and names are in, or a new one; its budget is this
    one from now on.
    """
    adapters, known_by = zip(*names, strict=True)
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT max(batch) FROM sdqctl.runs WHERE (adapter, known_by) IN "
            "(SELECT * FROM unnest(%s::text[], %s::text[]))",
            (list(adapters), list(known_by)),
        ).fetchone()
        there, values = row and row[0], (budget.tokens, budget.cost)
        made = connection.execute(
            "INSERT INTO sdqctl.batches (max_tokens, max_cost) VALUES (%s, %s) RETURNING number"
            if there is None
            else "UPDATE sdqctl.batches SET max_tokens = %s, max_cost = %s WHERE number = %s "
            "RETURNING number",
            values if there is None else (*values, there),
        ).fetchone()
        assert made is not None, "it is kept as long as a run is in it"
        return int(made[0])


def spend(database: Database, batch: int, usage: Usage) -> None:
    """Count what a run of a batch used."""
    with database.connection() as connection:
        connection.execute(
            "UPDATE sdqctl.batches SET tokens = tokens + %s, cost = cost + %s WHERE number = %s",
            (usage.input_tokens + usage.output_tokens, usage.cost, batch),
        )


def _has_budget(connection: Connection, number: int, batch: int) -> bool:
    row = connection.execute(
        "SELECT tokens, max_tokens, cost, max_cost FROM sdqctl.batches WHERE number = %s", (batch,)
    ).fetchone()
    if row is None:
        return True
    tokens, max_tokens, cost, max_cost = row
    reached = None
    if max_tokens is not None and tokens >= max_tokens:
        reached = f"{tokens} tokens of {max_tokens} (--batch-max-tokens)"
    elif max_cost is not None and cost >= max_cost:
        reached = f"a cost of {cost:g} of {max_cost:g} (--batch-max-cost)"
    if reached is not None:
        _end_batch(connection, number, batch, f"the budget of the batch is used up: {reached}")
    return reached is None


def _end_batch(connection: Connection, number: int, batch: int, message: str) -> None:
    """Have those runs of a batch end that have not begun."""
    rows = connection.execute(
        "UPDATE sdqctl.runs AS r SET status = 'failed', message = %s, exit_code = %s, "
        "job = NULL, ended_at = now(), touched_at = now() FROM (SELECT number, job FROM "
        "sdqctl.runs WHERE number = %s OR (batch = %s AND status = 'queued') FOR UPDATE) AS b "
        "WHERE r.number = b.number RETURNING b.job",
        (message, _FAILED, number, batch),
    ).fetchall()
    cancel(connection, [row[0] for row in rows if row[0] is not None], abort=False)

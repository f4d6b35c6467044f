"""What people do with the runs in a queue: see, cancel, answer, retry, pause, take out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sdqctl.errors import SessionNotFoundError
from sdqctl.fleet.admission import ALL
from sdqctl.fleet.engine import cancel, defer_missing
from sdqctl.model.session import folded
from sdqctl.model.views.queue import QueuedRunView, TagView
from sdqctl.text.suggest import nearest_few

if TYPE_CHECKING:
    from psycopg import Connection

    from sdqctl.fleet.database import Database

_COLUMNS = (
    "number, adapter, name, label, tag, priority, status, attempts, worker, message, exit_code, "
    "steps_done, steps_total, enqueued_at, started_at, ended_at"
)
_SHOWN = 3


def queued_runs(
    database: Database,
    *,
    status: str | None = None,
    tag: str | None = None,
    numbers: Sequence[int] | None = None,
) -> list[QueuedRunView]:
    """The runs of a queue, in the order they were put in."""
    with database.connection() as connection:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM sdqctl.runs WHERE (%s::text IS NULL OR status = %s) AND "
            "(%s::text IS NULL OR tag = %s) AND (%s::bigint[] IS NULL OR number = ANY(%s)) "
            "ORDER BY number".encode(),
            (status, status, tag, tag, numbers, numbers),
        ).fetchall()
    names = [name.strip() for name in _COLUMNS.split(",")]
    return [QueuedRunView(**dict(zip(names, row, strict=True))) for row in rows]


def find_runs(database: Database, wanted: Sequence[str]) -> list[QueuedRunView]:
    """The runs of these numbers, names or labels. Raises SessionNotFoundError."""
    found = queued_runs(database)
    known: dict[str, QueuedRunView] = {}
    for run in reversed(found):
        known |= {folded(run.label): run, folded(run.name): run, str(run.number): run}
    chosen = {}
    for word in wanted:
        one = known.get(folded(word))
        if one is None:
            near = [known[name].name for name in nearest_few(folded(word), known, _SHOWN)]
            hint = f"did you mean {', '.join(near)}?" if near else "`sdqctl queue list` shows all"
            raise SessionNotFoundError(f"the queue has no run {word!r}", hint=hint)
        chosen[one.number] = one
    return list(chosen.values())


def cancel_runs(database: Database, numbers: Sequence[int]) -> list[int]:
    """Cancel runs that have not ended; one that is being done is stopped after its state was
    published. Returns those that were cancelled.
    """
    with database.transaction() as connection:
        rows = connection.execute(
            "UPDATE sdqctl.runs SET status = 'cancelled', ended_at = now(), touched_at = now() "
            "WHERE number = ANY(%s) AND status IN ('queued', 'running', 'held', 'paused') "
            "RETURNING number, job",
            (list(numbers),),
        ).fetchall()
        cancel(connection, [job for _, job in rows if job is not None])
    return [number for number, _ in rows]


def retry_runs(database: Database, numbers: Sequence[int]) -> list[int]:
    """Put runs in again that ended without being completed; returns those that were."""
    with database.transaction() as connection:
        rows = connection.execute(
            "UPDATE sdqctl.runs SET status = 'queued', job = NULL, message = NULL, "
            "exit_code = NULL, ended_at = NULL, touched_at = now() WHERE number = ANY(%s) "
            "AND status IN ('failed', 'interrupted', 'cancelled', 'paused') RETURNING number",
            (list(numbers),),
        ).fetchall()
        found = [row[0] for row in rows]
        _hold_paused(connection)
        defer_missing(connection, found)
    return found


def answer_run(database: Database, number: int, answer: str, comment: str | None) -> bool:
    """Put a run in again with what a human says at its ASK; False: it waits at none."""
    with database.transaction() as connection:
        changed = connection.execute(
            "UPDATE sdqctl.runs SET status = 'queued', job = NULL, answer = %s, comment = %s, "
            "ended_at = NULL, touched_at = now() WHERE number = %s AND status = 'paused' "
            "AND gate IS NOT NULL",
            (answer, comment, number),
        ).rowcount
        _hold_paused(connection)
        defer_missing(connection, [number])
    return bool(changed)


def pause(database: Database, tag: str) -> int:
    """Let no more runs of a tag begin; returns how many wait. Those at work go on."""
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO sdqctl.paused_tags VALUES (%s) ON CONFLICT DO NOTHING", (tag,)
        )
        return _hold_paused(connection)


def unpause(database: Database, tag: str) -> int:
    """Let the runs of a tag begin again; returns how many waited for it."""
    with database.transaction() as connection:
        connection.execute("DELETE FROM sdqctl.paused_tags WHERE tag = %s", (tag,))
        rows = connection.execute(
            "UPDATE sdqctl.runs SET status = 'queued', job = NULL, touched_at = now() "
            "WHERE tag = %s AND status = 'held' RETURNING number",
            (tag,),
        ).fetchall()
        defer_missing(connection, [row[0] for row in rows])
    return len(rows)


def purge(database: Database, seconds: float) -> int:
    """Take out runs that ended so long ago; their sessions stay in the store. Returns how many."""
    with database.connection() as connection:
        return connection.execute(
            "DELETE FROM sdqctl.runs WHERE status IN ('completed', 'failed', 'cancelled') "
            "AND ended_at <= now() - make_interval(secs => %s)",
            (seconds,),
        ).rowcount


def tag_views(database: Database) -> list[TagView]:
    """How many runs there are of each tag and state, and what bounds those that begin."""
    found = defaultdict[str, dict[str, int]](dict)
    with database.transaction() as connection:
        query = "SELECT tag, status, count(*) FROM sdqctl.runs GROUP BY 1, 2 ORDER BY 1, 2"
        for tag, status, number in connection.execute(query).fetchall():
            found[tag][status] = number
        rows = connection.execute("SELECT tag FROM sdqctl.paused_tags").fetchall()
        room = dict(connection.execute("SELECT tag, most FROM sdqctl.room").fetchall())
    paused, in_all = {str(tag) for (tag,) in rows}, room.pop(ALL, None)
    return [
        TagView(
            tag=tag,
            paused=tag in paused,
            runs=found[tag],
            max_running=room.get(tag),
            max_running_in_all=in_all,
        )
        for tag in sorted({*found, *paused, *room})
    ]


def _hold_paused(connection: Connection) -> int:
    """Take the runs that wait under paused tags out of the engine."""
    rows: list[Any] = connection.execute(
        "UPDATE sdqctl.runs AS r SET status = 'held' FROM (SELECT number, job FROM sdqctl.runs "
        "WHERE status = 'queued' AND tag IN (SELECT tag FROM sdqctl.paused_tags) FOR UPDATE) AS b "
        "WHERE r.number = b.number RETURNING b.job"
    ).fetchall()
    connection.execute("UPDATE sdqctl.runs SET job = NULL WHERE status = 'held'")
    cancel(connection, [job for (job,) in rows if job is not None])
    return len(rows)

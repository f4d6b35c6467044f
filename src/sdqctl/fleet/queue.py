"""The runs in a queue: put in once, done by one worker at a time, listed, cancelled, put back.

A row says how a run stands, and which job of the engine is its present attempt: whoever does
another one changes nothing. That a job is missing is seen by any worker, and made good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.errors import SessionExistsError, SessionNotFoundError
from sdqctl.fleet.engine import cancel, defer, finish, make_engine_tables
from sdqctl.fleet.jobs import Job
from sdqctl.model.session import folded
from sdqctl.model.views.queue import QueuedRunView, TagView
from sdqctl.text.suggest import nearest_few

if TYPE_CHECKING:
    from psycopg import Connection

    from sdqctl.fleet.database import Database

WAITING = ("queued", "running")
"""States of a run that a worker has something to do about."""
_AGAIN = ("failed", "interrupted", "cancelled")
"""Those of a run that is put in again when its batch is."""
_COLUMNS = (
    "number, adapter, name, label, tag, priority, status, attempts, worker, message, exit_code, "
    "steps_done, steps_total, enqueued_at, started_at, ended_at"
)
_AT_ONCE = 500
_SHOWN = 3


@dataclass(frozen=True)
class Enqueued:
    """What became of a batch: runs that were put in, and how the others stand."""

    added: tuple[int, ...]
    again: tuple[int, ...]
    there: Mapping[int, str]
    """Those that were in the queue, with their states."""

    @property
    def numbers(self) -> list[int]:
        """All runs of the batch."""
        return [*self.added, *self.again, *self.there]


@dataclass(frozen=True)
class Taken:
    """A run that this process does now."""

    number: int
    job: int
    spec: str
    name: str
    answer: str | None
    """What a human said at its gate."""
    comment: str | None


def make_queue(database: Database) -> bool:
    """Make what tables are missing; whether any were."""
    made = bool(database.make())
    with database.transaction() as connection:
        return make_engine_tables(connection) or made


def enqueue(database: Database, jobs: Sequence[Job], *, tag: str, priority: int) -> Enqueued:
    """Put runs in that are not there. One that failed or was cancelled is put in again.

    Raises SessionExistsError for a name that another run of the queue has.
    """
    added: list[int] = []
    again: list[int] = []
    there: dict[int, str] = {}
    for start in range(0, len(jobs), _AT_ONCE):
        with database.transaction() as connection:
            held = _is_paused(connection, tag)
            for job in jobs[start : start + _AT_ONCE]:
                number, status = _put(connection, job, tag, priority, held=held)
                if status is None:
                    added.append(number)
                elif status in _AGAIN:
                    again.append(number)
                else:
                    there[number] = status
            _defer_missing(connection, [*added, *again])
    return Enqueued(tuple(added), tuple(again), there)


def _put(
    connection: Connection, job: Job, tag: str, priority: int, *, held: bool
) -> tuple[int, str | None]:
    """The number of a job's run, and its state if it was there."""
    status = "held" if held else "queued"
    row = connection.execute(
        "INSERT INTO sdqctl.runs (adapter, name, known_by, label, tag, priority, digest, spec, "
        "status) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING "
        "RETURNING number",
        (
            *(job.adapter, job.name, folded(job.name), job.label, tag, priority, job.digest),
            *(msgspec.json.encode(job).decode(), status),
        ),
    ).fetchone()
    if row is not None:
        return int(row[0]), None
    found = connection.execute(
        "SELECT number, status, digest FROM sdqctl.runs WHERE adapter = %s AND known_by = %s "
        "FOR UPDATE",
        (job.adapter, folded(job.name)),
    ).fetchone()
    assert found is not None, "it was there a moment ago"
    number, before, digest = int(found[0]), str(found[1]), str(found[2])
    if digest != job.digest:
        raise SessionExistsError(
            f"the queue has another run in session {job.name!r}",
            hint="`sdqctl queue show` says which; `sdqctl queue purge` takes out what has ended; "
            "or give another --session-name",
        )
    if before in _AGAIN:
        connection.execute(
            "UPDATE sdqctl.runs SET status = %s, job = NULL, tag = %s, priority = %s, "
            "message = NULL, exit_code = NULL, ended_at = NULL, touched_at = now() "
            "WHERE number = %s",
            (status, tag, priority, number),
        )
    return number, before


def _defer_missing(connection: Connection, numbers: Collection[int], seconds: float = 0.0) -> None:
    """Make jobs for those of some runs that wait without one."""
    rows = connection.execute(
        "SELECT number, tag, priority FROM sdqctl.runs "
        "WHERE number = ANY(%s) AND status = 'queued' AND job IS NULL ORDER BY number FOR UPDATE",
        (list(numbers),),
    ).fetchall()
    groups = defaultdict[tuple[str, int], list[int]](list)
    for number, tag, priority in rows:
        groups[tag, priority].append(number)
    for (tag, priority), found in groups.items():
        pairs = zip(defer(connection, found, tag, priority, seconds), found, strict=True)
        with connection.cursor() as cursor:
            cursor.executemany("UPDATE sdqctl.runs SET job = %s WHERE number = %s", list(pairs))


# -- what workers do ------------------------------------------------------------------------------


def take(database: Database, number: int, job: int, worker: str) -> Taken | None:
    """Begin a run; None when this job is not its present attempt any more."""
    with database.connection() as connection:
        row = connection.execute(
            "UPDATE sdqctl.runs SET status = 'running', worker = %s, attempts = attempts + 1, "
            "started_at = coalesce(started_at, now()), touched_at = now(), message = NULL "
            "WHERE number = %s AND job = %s AND status IN ('queued', 'running') "
            "RETURNING spec, name, answer, comment",
            (worker, number, job),
        ).fetchone()
    return Taken(number, job, *row) if row else None


def settle(
    database: Database,
    taken: Taken,
    status: str,
    *,
    message: str | None = None,
    exit_code: int | None = None,
    steps: tuple[int, int] | None = None,
) -> bool:
    """Record how a run ended; False when it is not this process's any more, or was cancelled."""
    done, total = steps or (None, None)
    with database.connection() as connection:
        return bool(
            connection.execute(
                "UPDATE sdqctl.runs SET status = %s, message = %s, exit_code = %s, "
                "steps_done = coalesce(%s, steps_done), steps_total = coalesce(%s, steps_total), "
                "answer = NULL, comment = NULL, ended_at = now(), touched_at = now() "
                "WHERE number = %s AND job = %s AND status = 'running'",
                (status, message, exit_code, done, total, taken.number, taken.job),
            ).rowcount
        )


def give_back(database: Database, taken: Taken, message: str, seconds: float = 0.0) -> bool:
    """Put a run back that could not be ended here, for after some seconds."""
    with database.transaction() as connection:
        changed = connection.execute(
            "UPDATE sdqctl.runs SET status = 'queued', job = NULL, worker = NULL, message = %s, "
            "touched_at = now() WHERE number = %s AND job = %s AND status = 'running'",
            (message, taken.number, taken.job),
        ).rowcount
        _defer_missing(connection, [taken.number], seconds)
    return bool(changed)


def take_over(database: Database, seconds: float) -> int:
    """Put runs in again whose job has ended without their end: their worker died, or whoever put
    them in did, or the job was fetched by a worker that did not hear of it, so many seconds ago.
    Returns how many.
    """
    with database.transaction() as connection:
        unheard = connection.execute(
            "SELECT job FROM sdqctl.runs AS r JOIN sdqctl.procrastinate_jobs AS j ON j.id = job "
            "WHERE r.status = 'queued' AND j.status = 'doing' AND (SELECT max(e.at) "
            "FROM sdqctl.procrastinate_events AS e WHERE e.job_id = j.id AND e.type = 'started') "
            "< now() - make_interval(secs => %s) FOR UPDATE OF r",
            (seconds,),
        ).fetchall()
        finish(connection, [row[0] for row in unheard])
        rows = connection.execute(
            "UPDATE sdqctl.runs AS r SET status = 'queued', job = NULL, worker = NULL, "
            "touched_at = now() WHERE status IN ('queued', 'running') AND NOT EXISTS ("
            "SELECT 1 FROM sdqctl.procrastinate_jobs AS j WHERE j.id = r.job "
            "AND j.status IN ('todo', 'doing')) RETURNING number"
        ).fetchall()
        _defer_missing(connection, [row[0] for row in rows])
    return len(rows)


def count_waiting(database: Database, tags: Sequence[str] | None) -> int:
    """How many runs are waiting or being done, under some tags or all."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM sdqctl.runs WHERE status IN ('queued', 'running') "
            "AND (%s::text[] IS NULL OR tag = ANY(%s))",
            (tags, tags),
        ).fetchone()
    return int(row[0]) if row else 0


# -- what people do -------------------------------------------------------------------------------


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
        _defer_missing(connection, found)
    return found


def answer_run(database: Database, number: int, answer: str, comment: str | None) -> bool:
    """Put a run in again with what a human says at its gate; False: it waits at none."""
    with database.transaction() as connection:
        changed = connection.execute(
            "UPDATE sdqctl.runs SET status = 'queued', job = NULL, answer = %s, comment = %s, "
            "ended_at = NULL, touched_at = now() WHERE number = %s AND status = 'paused'",
            (answer, comment, number),
        ).rowcount
        _hold_paused(connection)
        _defer_missing(connection, [number])
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
        _defer_missing(connection, [row[0] for row in rows])
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
    """How many runs there are of each tag and state, and which tags are paused."""
    found = defaultdict[str, dict[str, int]](dict)
    with database.transaction() as connection:
        query = "SELECT tag, status, count(*) FROM sdqctl.runs GROUP BY 1, 2 ORDER BY 1, 2"
        for tag, status, number in connection.execute(query).fetchall():
            found[tag][status] = number
        rows = connection.execute("SELECT tag FROM sdqctl.paused_tags").fetchall()
    paused = {str(tag) for (tag,) in rows}
    tags = sorted({*found, *paused})
    return [TagView(tag=tag, paused=tag in paused, runs=found[tag]) for tag in tags]


def _is_paused(connection: Connection, tag: str) -> bool:
    query = "SELECT 1 FROM sdqctl.paused_tags WHERE tag = %s"
    return connection.execute(query, (tag,)).fetchone() is not None


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


# -- commits that have no remote ------------------------------------------------------------------


def put_base(database: Database, commit: str, bundle: bytes) -> None:
    """Keep a commit with its history, for workers that cannot fetch it."""
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO sdqctl.bases VALUES (%s, %s) ON CONFLICT DO NOTHING", (commit, bundle)
        )


def get_base(database: Database, commit: str) -> bytes | None:
    """A commit with its history, as git bundles it."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT bundle FROM sdqctl.bases WHERE commit_id = %s", (commit,)
        ).fetchone()
    return bytes(row[0]) if row else None

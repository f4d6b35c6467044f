"""The runs in a queue: put in once, done by one worker at a time, listed, cancelled, put back.

A row says how a run stands, and which job of the engine is its present attempt: whoever does
another one changes nothing. That a job is missing is seen by any worker, and made good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sdqctl.errors import SessionExistsError
from sdqctl.fleet.admission import Budget, admit, batch_for
from sdqctl.fleet.engine import defer_missing, finish, make_engine_tables
from sdqctl.fleet.jobs import Job
from sdqctl.model.session import folded

if TYPE_CHECKING:
    from psycopg import Connection

    from sdqctl.fleet.database import Database

WAITING = ("queued", "running")
"""States of a run that a worker has something to do about."""
_AGAIN = ("failed", "interrupted", "cancelled")
"""Those of a run that is put in again when its batch is."""
_AT_ONCE = 500
_LOCK = 7_365_712
"""Of the advisory lock under which runs are taken over."""


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
    gate: str | None
    """The path of the ASK at which it waited last, for which the answer is; empty: not known."""
    batch: int | None
    """Whose budget it uses."""
    is_limited: bool
    """Whether others may wait for its end."""


@dataclass(frozen=True)
class End:
    """How a run ended here. `queued`: it goes back, for after some `seconds`."""

    status: str
    message: str | None = None
    exit_code: int | None = None
    seconds: float = 0.0
    steps: tuple[int, int] | None = None
    gate: str | None = None
    """The path of the ASK at which it waits."""


def make_queue(database: Database) -> bool:
    """Make what tables are missing; whether any were."""
    made = bool(database.make())
    with database.transaction() as connection:
        return make_engine_tables(connection) or made


def enqueue(
    database: Database,
    jobs: Sequence[Job],
    *,
    tag: str,
    priority: int,
    budget: Budget | None = None,
) -> Enqueued:
    """Put runs in that are not there. One that failed or was cancelled is put in again. With a
    `budget` all of them are one batch, which begins no run once that is used up.

    Raises SessionExistsError for a name that another run of the queue has.
    """
    added: list[int] = []
    again: list[int] = []
    there: dict[int, str] = {}
    names = [(job.adapter, folded(job.name)) for job in jobs]
    batch = None if budget is None or not names else batch_for(database, names, budget)
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
            if batch is not None:
                connection.execute(
                    "UPDATE sdqctl.runs SET batch = %s WHERE number = ANY(%s)",
                    (batch, [*added, *again, *there]),
                )
            defer_missing(connection, [*added, *again])
    return Enqueued(tuple(added), tuple(again), there)


def has_run(database: Database, job: Job) -> bool:
    """Whether there is a run of a job's name."""
    with database.connection() as connection:
        query = "SELECT 1 FROM sdqctl.runs WHERE adapter = %s AND known_by = %s"
        return connection.execute(query, (job.adapter, folded(job.name))).fetchone() is not None


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


# -- what workers do ------------------------------------------------------------------------------


def take(database: Database, number: int, job: int, worker: str) -> Taken | None:
    """Begin a run; None when this job is not its present attempt any more, or it has to wait."""
    with database.transaction() as connection:
        admitted = admit(connection, number, job)
        if admitted is None:
            return None
        row = connection.execute(
            "UPDATE sdqctl.runs SET status = 'running', worker = %s, attempts = attempts + 1, "
            "waits = false, started_at = coalesce(started_at, now()), touched_at = now(), "
            "message = NULL WHERE number = %s AND job = %s AND status IN ('queued', 'running') "
            "RETURNING spec, name, answer, comment, gate",
            (worker, number, job),
        ).fetchone()
    if row is None:
        return None
    spec, name, answer, comment, gate = row
    batch, is_limited = admitted.batch, admitted.is_limited
    return Taken(number, job, spec, name, answer, comment, gate, batch, is_limited)


def settle(database: Database, taken: Taken, end: End) -> bool:
    """Record how a run ended; False when it is not this process's any more, or was cancelled."""
    if end.status == "queued":
        return _give_back(database, taken, end)
    done, total = end.steps or (None, None)
    with database.connection() as connection:
        return bool(
            connection.execute(
                "UPDATE sdqctl.runs SET status = %s, message = %s, exit_code = %s, "
                "steps_done = coalesce(%s, steps_done), steps_total = coalesce(%s, steps_total), "
                "answer = NULL, comment = NULL, gate = %s, ended_at = now(), touched_at = now() "
                "WHERE number = %s AND job = %s AND status = 'running'",
                (
                    *(end.status, end.message, end.exit_code, done, total, end.gate),
                    *(taken.number, taken.job),
                ),
            ).rowcount
        )


def _give_back(database: Database, taken: Taken, end: End) -> bool:
    with database.transaction() as connection:
        changed = connection.execute(
            "UPDATE sdqctl.runs SET status = 'queued', job = NULL, worker = NULL, message = %s, "
            "touched_at = now() WHERE number = %s AND job = %s AND status = 'running'",
            (end.message, taken.number, taken.job),
        ).rowcount
        defer_missing(connection, [taken.number], end.seconds)
    return bool(changed)


def take_over(database: Database, seconds: float) -> int:
    """Put runs in again whose job has ended without their end: their worker died, or whoever put
    them in did, or the job was fetched by a worker that did not hear of it, so many seconds ago.
    Returns how many; none while another worker is doing it: both would not see each other's jobs.
    """
    with database.transaction() as connection:
        alone = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone()
        if alone != (True,):
            return 0
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
            "touched_at = now() WHERE status IN ('queued', 'running') "
            "AND NOT (waits AND job IS NULL) AND NOT EXISTS ("
            "SELECT 1 FROM sdqctl.procrastinate_jobs AS j WHERE j.id = r.job "
            "AND j.status IN ('todo', 'doing')) RETURNING number"
        ).fetchall()
        defer_missing(connection, [row[0] for row in rows])
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


def _is_paused(connection: Connection, tag: str) -> bool:
    query = "SELECT 1 FROM sdqctl.paused_tags WHERE tag = %s"
    return connection.execute(query, (tag,)).fetchone() is not None


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

"""The engine of the queue: procrastinate in the store's database. A job of it is one attempt."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from sdqctl.errors import RuntimeMissingError
from sdqctl.fleet.address import Address
from sdqctl.fleet.database import KEPT_ALIVE, LONGEST_IDLE

if TYPE_CHECKING:
    from procrastinate import App, JobContext
    from psycopg import Connection

TASK = "sdqctl.run"
_SCHEMA = "sdqctl"
_IDLE = "idle_in_transaction_session_timeout"
_CONNECTIONS = 2
"""Of a worker's engine at most, beside the one that it listens on: a server has a hundred."""
_WAIT = 5.0
"""Seconds after which a connection that is not to be had is asked for anew."""
Act = Callable[[int, int], Awaitable[None]]
"""Does the run of a number in the job of a number."""


def make_engine_tables(connection: Connection) -> bool:
    """Make the engine's tables beside those of the store, within an open transaction; whether they
    were missing.
    """
    row = connection.execute("SELECT to_regclass('sdqctl.procrastinate_jobs')").fetchone()
    if row is not None and row[0] is not None:
        return False
    engine = _engine()
    connection.execute(f"SET LOCAL search_path TO {_SCHEMA}".encode())
    connection.execute(engine.schema.SchemaManager.get_schema().encode())
    return True


def defer(
    connection: Connection, numbers: Sequence[int], tag: str, priority: int, seconds: float = 0.0
) -> list[int]:
    """Put jobs for runs in, within an open transaction, which may begin after some seconds; returns
    the numbers of the jobs.
    """
    engine = _engine()
    connection.execute(f"SET LOCAL search_path TO {_SCHEMA}".encode())
    app = engine.App(connector=engine.SyncPsycopgConnector())
    later = {"schedule_in": {"seconds": seconds}} if seconds else {}
    deferrer = app.configure_task(
        TASK, queue=tag, priority=priority, connection=connection, **later
    )
    return list(deferrer.batch_defer(*({"run": number} for number in numbers)))


def defer_missing(connection: Connection, numbers: Collection[int], seconds: float = 0.0) -> None:
    """Make jobs for those of some runs that wait without one; what had begun goes on first."""
    rows = connection.execute(
        "SELECT number, tag, priority + (attempts > 0)::int FROM sdqctl.runs "
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


def cancel(connection: Connection, jobs: Sequence[int], *, abort: bool = True) -> None:
    """Take jobs out, within an open transaction; those that are being done are told to stop if
    they are to `abort`.
    """
    _for_each(connection, jobs, f"{_SCHEMA}.procrastinate_cancel_job_v1(job, {abort}, false)")


def finish(connection: Connection, jobs: Sequence[int]) -> None:
    """End jobs that nobody does, within an open transaction."""
    _for_each(connection, jobs, f"{_SCHEMA}.procrastinate_finish_job_v1(job, 'failed', false)")


def _for_each(connection: Connection, jobs: Sequence[int], call: str) -> None:
    if jobs:
        connection.execute(f"SET LOCAL search_path TO {_SCHEMA}".encode())
        statement = f"SELECT {call} FROM unnest(%s::bigint[]) AS job"
        connection.execute(statement.encode(), (list(jobs),))


def server(address: Address, act: Act, note: Callable[[str], None]) -> tuple[App, asyncio.Event]:
    """The engine, to do jobs: `act` does each. It waits for a database that is away, until the
    event is set.
    """
    engine = _engine()
    from sdqctl.fleet.connector import PatientConnector

    for name in ("procrastinate", "psycopg"):  # a worker says itself what happens
        logging.getLogger(name).addHandler(logging.NullHandler())
    connector = PatientConnector(
        note,
        conninfo=address.secret,
        kwargs={"options": f"-c search_path={_SCHEMA} -c {_IDLE}={LONGEST_IDLE}", **KEPT_ALIVE},
        min_size=1,
        max_size=_CONNECTIONS,
        timeout=_WAIT,
        reconnect_timeout=_WAIT,
    )
    app: App = engine.App(connector=connector)

    @app.task(name=TASK, pass_context=True)
    async def run_job(context: JobContext, run: int) -> None:
        assert context.job.id is not None, "a job that is done has a number"
        await act(run, context.job.id)

    return app, connector.hurry


def _engine() -> Any:  # noqa: ANN401 - the module
    try:
        import procrastinate
        import procrastinate.schema
    except ImportError as error:
        raise RuntimeMissingError(
            "a queue needs procrastinate, which is not installed",
            hint="install sdqctl with it: `pipx install 'sdqctl[fleet]'`",
        ) from error
    return procrastinate

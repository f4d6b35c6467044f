"""A database that is cut off, restarts, is full, or far away: workers wait, and go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from sdqctl.errors import StoreUnreachableError
from sdqctl.fleet import database
from sdqctl.fleet.address import store_address
from sdqctl.fleet.database import Database
from sdqctl.fleet.engine import server
from sdqctl.fleet.leases import take
from tests.fleet.line import Line, line
from tests.fleet.machines import PATIENCE, Fleet
from tests.fleet.test_queue import check_whole, enqueued, states, worker, working
from tests.sampling import some
from tests.waiting import wait_for

Outage = Callable[[Fleet, Line], AbstractContextManager[Callable[[], bool]]]
_CLIENTS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_REFUSED = """
    CREATE SEQUENCE refusals;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('refusals');
        RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$
"""
_LOCKED = "SELECT name FROM sdqctl.sessions FOR UPDATE"
_TABLES = ("states", "runs", "procrastinate_jobs")


@contextmanager
def cut_off(fleet: Fleet, way: Line) -> Iterator[Callable[[], bool]]:
    """Nothing listens there."""
    way.cut()
    try:
        yield lambda: "cannot be reached" in fleet.machine("b").said()
    finally:
        way.mend()


@contextmanager
def restarting(fleet: Fleet, way: Line) -> Iterator[Callable[[], bool]]:
    """All connections end as they do when a server restarts."""
    yield (
        lambda: (
            bool(fleet.asked(f"SELECT pg_terminate_backend(pid) {_CLIENTS}"))
            and ("cannot be reached" in fleet.machine("b").said())
        )
    )


@contextmanager
def full(fleet: Fleet, way: Line) -> Iterator[Callable[[], bool]]:
    """There is no room on its disk."""
    fleet.asked(_REFUSED)
    for table in _TABLES:
        fleet.asked(
            f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON sdqctl.{table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    yield lambda: fleet.asked("SELECT last_value > 3 FROM refusals") == [(True,)]
    for table in _TABLES:
        fleet.asked(f"DROP TRIGGER full_disk ON sdqctl.{table}")


@pytest.mark.each(2)
@pytest.mark.parametrize("outage", some(2, [cut_off, full, restarting]))
def test_a_worker_waits_for_its_database_and_goes_on(outage: Outage, fleet: Fleet) -> None:
    enqueued(fleet)
    with line(fleet.store) as way:
        running = working(replace(fleet, store=way.store), "b", "--take-over", "30s")
        try:
            with outage(fleet, way) as is_felt:
                (fleet.folder / "go").touch()
                wait_for(is_felt)
            wait_for(lambda: states(fleet) == [("q", "completed")])
        finally:
            running.terminate()
            assert running.wait(PATIENCE) == 0
    assert fleet.asked("SELECT attempts FROM sdqctl.runs") == [(1,)]
    check_whole(fleet)


def test_a_worker_ends_when_the_database_refuses_what_it_asks(fleet: Fleet) -> None:
    enqueued(fleet)
    fleet.asked("ALTER TABLE sdqctl.procrastinate_workers RENAME TO elsewhere")
    done = fleet.machine("b").run(*worker(fleet, "b", "--until-idle"), code=9)
    assert "procrastinate_workers" in done.err
    assert "cannot be reached" not in done.err
    assert states(fleet) == [("q", "queued")]


@pytest.mark.thorough
def test_a_worker_that_others_counted_out_comes_back(fleet: Fleet) -> None:
    enqueued(fleet)
    running = working(fleet, "b")
    try:
        fleet.asked("DELETE FROM sdqctl.procrastinate_workers")
        (fleet.folder / "go").touch()
        wait_for(lambda: states(fleet) == [("q", "completed")])
        put_in = ("run", "-p", "say [[reply: A]]", "--session-name", "r", "--queue")
        fleet.machine("a").run(*put_in)
        wait_for(lambda: states(fleet)[1:] == [("r", "completed")])
    finally:
        running.terminate()
        assert running.wait(PATIENCE) == 0


def test_who_freezes_within_a_transaction_holds_up_nobody_for_long(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LONGEST_IDLE", "1s")
    address = store_address(fleet.store, {})
    with Database(address) as frozen, Database(address) as other:
        frozen.make()
        take(frozen, "mock", "s")
        seen = []
        with pytest.raises(StoreUnreachableError), frozen.transaction() as connection:
            assert connection.execute(_LOCKED).fetchall() == [("s",)]
            with other.transaction() as theirs:
                theirs.execute("SET LOCAL lock_timeout = '60s'")
                seen = theirs.execute(_LOCKED).fetchall()
            connection.execute("SELECT 1")
        assert seen == [("s",)]
        with frozen.connection() as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_the_engine_that_freezes_within_a_transaction_is_given_up_as_well(fleet: Fleet) -> None:
    async def act(run: int, job: int) -> None:
        raise AssertionError("there is no run")

    async def ask() -> dict[str, Any]:
        app, _ = server(store_address(fleet.store, {}), act, print)
        async with app.open_async():
            query = "SELECT current_setting('idle_in_transaction_session_timeout') AS idle"
            return await app.connector.execute_query_one_async(query)

    assert asyncio.run(ask()) == {"idle": database.LONGEST_IDLE}


@pytest.mark.thorough
def test_a_database_that_is_far_away_is_slow_alone(fleet: Fleet) -> None:
    enqueued(fleet)
    (fleet.folder / "go").touch()
    with line(fleet.store, delay=0.15) as way:
        there = replace(fleet, store=way.store)
        running = working(there, "b", "--until-idle")
        assert running.wait(PATIENCE) == 0
    assert states(fleet) == [("q", "completed")]
    check_whole(fleet)

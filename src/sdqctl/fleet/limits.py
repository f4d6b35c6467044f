"""One rate limit over all workers: when a provider says to slow down, all of them wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.fleet.database import Database

SECONDS = 15.0
"""How long all wait after a provider has said so once more."""


def slow_down(database: Database, adapter: str, seconds: float = SECONDS) -> None:
    """Have all workers wait before their next turn on an adapter."""
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO sdqctl.limits AS l VALUES (%s, now() + make_interval(secs => %s)) "
            "ON CONFLICT (adapter) DO UPDATE SET "
            "not_before = greatest(l.not_before, excluded.not_before)",
            (adapter, seconds),
        )


def seconds_to_wait(database: Database, adapter: str) -> float:
    """How long no turn is to begin on an adapter."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM not_before - now()) FROM sdqctl.limits WHERE adapter = %s",
            (adapter,),
        ).fetchone()
    return max(0.0, float(row[0])) if row else 0.0

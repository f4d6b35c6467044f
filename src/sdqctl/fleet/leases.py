"""The right to write a session's next state: held for a while, renewed, and numbered.

The number grows with each one who takes it. What is published names it, so whoever was taken over
publishes nothing more, whatever it believes.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from sdqctl.errors import LeaseLostError, SessionBusyError
from sdqctl.model.session import Holder, folded
from sdqctl.text.commands import on_session
from sdqctl.text.undecoded import readable

if TYPE_CHECKING:
    from psycopg import Connection

    from sdqctl.fleet.database import Database

SECONDS = 30.0
"""How long a lease holds without being renewed."""
_COMMAND_LENGTH = 120
_POLL = 0.5


@dataclass(frozen=True)
class Lease:
    """A lease that was taken on a session: `session` is its number in the store."""

    session: int
    fence: int
    name: str
    seconds: float = SECONDS


def take(
    database: Database, adapter: str, name: str, *, wait: float = 0.0, seconds: float = SECONDS
) -> Lease:
    """Take the lease of a session, of which nothing need be in the store yet.

    Raises SessionBusyError that names who has it.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            return _take(database, adapter, name, seconds)
        except SessionBusyError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL)


def _take(database: Database, adapter: str, name: str, seconds: float) -> Lease:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO sdqctl.sessions (adapter, name, known_by) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            (adapter, name, folded(name)),
        )
        row = connection.execute(
            "SELECT number, holder, extract(epoch FROM held_until - now()) FROM sdqctl.sessions "
            "WHERE adapter = %s AND known_by = %s FOR UPDATE",
            (adapter, folded(name)),
        ).fetchone()
        assert row is not None, "it was made if it was not there"
        number, holder, left = row
        if left is not None and left > 0:
            raise _busy(name, holder, float(left))
        taken = connection.execute(
            "UPDATE sdqctl.sessions SET fence = fence + 1, holder = %s, "
            "held_until = now() + make_interval(secs => %s) WHERE number = %s RETURNING fence",
            (msgspec.json.encode(_own()).decode(), seconds, number),
        ).fetchone()
        assert taken is not None, "the row is locked"
        return Lease(int(number), int(taken[0]), name, seconds)


def renew(database: Database, lease: Lease) -> None:
    """Hold a lease longer. Raises LeaseLostError."""
    with database.connection() as connection:
        hold(connection, lease)


def release(database: Database, lease: Lease) -> None:
    """Give a lease back; one that was lost is not touched."""
    with database.connection() as connection:
        connection.execute(
            "UPDATE sdqctl.sessions SET holder = NULL, held_until = NULL "
            "WHERE number = %s AND fence = %s",
            (lease.session, lease.fence),
        )


def hold(connection: Connection, lease: Lease) -> None:
    """Hold a lease longer; within a transaction nobody else takes it. Raises LeaseLostError."""
    held = connection.execute(
        "UPDATE sdqctl.sessions SET held_until = now() + make_interval(secs => %s) "
        "WHERE number = %s AND fence = %s",
        (lease.seconds, lease.session, lease.fence),
    )
    if held.rowcount:
        return
    row = connection.execute(
        "SELECT holder FROM sdqctl.sessions WHERE number = %s", (lease.session,)
    ).fetchone()
    holder = read_holder(row[0]) if row else None
    who = f" by {holder.describe()}" if holder else ""
    raise LeaseLostError(
        f"session {lease.name!r} was taken over{who}; nothing more is published from here",
        hint=f"`{on_session('sessions pull', lease.name)}` brings what was done there",
    )


def read_holder(text: str | None) -> Holder | None:
    """Who holds a session, as the store says it."""
    try:
        return msgspec.json.decode(text, type=Holder) if text else None
    except msgspec.MsgspecError:
        return None


def _busy(name: str, holder: str | None, left: float) -> SessionBusyError:
    found = read_holder(holder)
    who = found.describe() if found else "another process"
    return SessionBusyError(
        f"session {name!r} is held by {who}, for {left:.0f} s more if nothing is heard of it",
        hint="wait for it (`--wait 10m`), or end it there",
    )


def _own() -> Holder:
    words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    command = readable(" ".join(words))[:_COMMAND_LENGTH]
    return Holder(
        pid=os.getpid(), host=socket.gethostname(), command=command, since=datetime.now(UTC)
    )

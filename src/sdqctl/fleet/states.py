"""The states of sessions in a shared store: what another machine needs to go on with each."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from sdqctl.errors import BundleError, SharedStoreError
from sdqctl.fleet.chunks import Piece, packed, pieces, unpacked
from sdqctl.fleet.leases import Lease, hold, read_holder
from sdqctl.model.run import RunRecord
from sdqctl.model.session import Holder, SessionInfo

if TYPE_CHECKING:
    from psycopg import Connection

    from sdqctl.fleet.database import Database

KEPT = 5
"""States of a session that are kept, the newest ones."""
_LARGEST = 512 * 1024**2
"""Bytes of a state, unpacked."""
_AT_ONCE = 64
"""Pieces that are fetched or sent together."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a session, without opening its state."""

    info: SessionInfo
    run: RunRecord | None = None
    turns: int | None = None


@dataclass(frozen=True)
class Published:
    """A state that is in the store now."""

    number: int
    token: str
    size: int
    sent: int
    """Bytes that had to be sent for it, compressed."""


@dataclass(frozen=True)
class Stored:
    """A session in the store, with its newest state. What it says is not to be trusted."""

    session: int
    adapter: str
    name: str
    number: int
    token: str
    host: str
    published_at: datetime
    size: int
    view: View
    holder: Holder | None
    """Who holds its lease at the moment."""


_STORED = """
    SELECT s.number, s.adapter, s.name, t.number, t.token, t.host, t.published_at, t.size, t.view,
        CASE WHEN s.held_until > now() THEN s.holder END
    FROM sdqctl.sessions AS s JOIN LATERAL (
        SELECT * FROM sdqctl.states WHERE session = s.number ORDER BY number DESC LIMIT 1
    ) AS t ON true
"""


def new_token() -> str:
    """What a state is known by to whoever publishes it."""
    return secrets.token_hex(8)


def publish(
    database: Database, lease: Lease, file: Path, view: View, token: str, *, kept: int = KEPT
) -> Published:
    """Publish a session's next state, in one transaction; pieces that are there are not sent again.

    Done again with the same token, because its end was not seen, it changes nothing.
    Raises LeaseLostError, and SharedStoreError for a state that is too large.
    """
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > _LARGEST:
            raise SharedStoreError(
                f"the state of session {lease.name!r} has {size >> 20} MiB; a store takes "
                f"{_LARGEST >> 20} at most",
                hint="keep large files out of the work tree's snapshots (.gitignore)",
            )
        found = list(pieces(stream))
        with database.transaction() as connection:
            hold(connection, lease)
            last = _last(connection, lease)
            if last is not None and last[1] == token:
                return Published(last[0], token, size, 0)
            sent = _send(connection, lease, stream, found)
            number = last[0] + 1 if last is not None else 1
            connection.execute(
                "INSERT INTO sdqctl.states (session, number, fence, token, host, size, pieces, "
                "view) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    *(lease.session, number, lease.fence, token, socket.gethostname(), size),
                    [piece.digest for piece in found],
                    msgspec.json.encode(view).decode().replace("\\u0000", ""),
                ),
            )
            _forget_old(connection, lease, number - kept)
    return Published(number, token, size, sent)


def stored_sessions(database: Database, adapter: str | None = None) -> list[Stored]:
    """All sessions in the store; none where it has no tables yet."""
    if not database.is_made():
        return []
    with database.connection() as connection:
        rows = connection.execute(
            f"{_STORED} WHERE %s::text IS NULL OR s.adapter = %s".encode(), (adapter, adapter)
        ).fetchall()
    return [each for row in rows if (each := _stored(row)) is not None]


def newest(database: Database, session: int) -> Stored | None:
    """One session with its newest state; None before there is one.

    Raises BundleError for one that cannot be read.
    """
    with database.connection() as connection:
        row = connection.execute(f"{_STORED} WHERE s.number = %s".encode(), (session,)).fetchone()
    if row is None:
        return None
    found = _stored(row)
    if found is None:
        raise BundleError(f"what the store says of session {row[2]!r} cannot be read")
    return found


def fetch(database: Database, stored: Stored, target: Path) -> None:
    """Write a state's bundle to a file. Raises BundleError for one that is damaged."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream, database.transaction() as connection:
        row = connection.execute(
            "SELECT pieces FROM sdqctl.states WHERE session = %s AND number = %s",
            (stored.session, stored.number),
        ).fetchone()
        digests = [bytes(digest) for digest in row[0]] if row else []
        for start in range(0, len(digests), _AT_ONCE):
            _fetch_some(connection, stored, digests[start : start + _AT_ONCE], stream)
            if stream.tell() > _LARGEST:
                raise BundleError(f"the state of session {stored.name!r} is too large")


def _fetch_some(
    connection: Connection, stored: Stored, digests: Sequence[bytes], target: BinaryIO
) -> None:
    rows = connection.execute(
        "SELECT digest, data FROM sdqctl.pieces WHERE session = %s AND digest = ANY(%s)",
        (stored.session, list(digests)),
    ).fetchall()
    content = {bytes(digest): bytes(data) for digest, data in rows}
    for digest in digests:
        if digest not in content:
            raise BundleError(f"the state of session {stored.name!r} lacks a piece")
        target.write(unpacked(content[digest], digest))


def _send(connection: Connection, lease: Lease, stream: BinaryIO, found: Sequence[Piece]) -> int:
    """Send the pieces that are not there; returns how many bytes that were."""
    rows = connection.execute(
        "SELECT digest FROM sdqctl.pieces WHERE session = %s AND digest = ANY(%s)",
        (lease.session, [piece.digest for piece in found]),
    ).fetchall()
    there = {bytes(row[0]) for row in rows}
    once = {piece.digest: piece for piece in found}
    missing = [piece for digest, piece in once.items() if digest not in there]
    sent = 0
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        batch = [(piece.digest, packed(stream, piece)) for piece in some]
        sent += sum(len(data) for _, data in batch)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO sdqctl.pieces (session, digest, data) VALUES (%s, %s, %s)",
                [(lease.session, *each) for each in batch],
            )
    return sent


def _last(connection: Connection, lease: Lease) -> tuple[int, str] | None:
    row = connection.execute(
        "SELECT number, token FROM sdqctl.states WHERE session = %s ORDER BY number DESC LIMIT 1",
        (lease.session,),
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else None


def _forget_old(connection: Connection, lease: Lease, up_to: int) -> None:
    gone = connection.execute(
        "DELETE FROM sdqctl.states WHERE session = %s AND number <= %s", (lease.session, up_to)
    ).rowcount
    if gone:
        connection.execute(
            "DELETE FROM sdqctl.pieces AS p WHERE session = %s AND NOT EXISTS (SELECT 1 FROM "
            "sdqctl.states AS t WHERE t.session = p.session AND p.digest = ANY(t.pieces))",
            (lease.session,),
        )


def _stored(row: Sequence[object]) -> Stored | None:
    """A row as a record; None for one that says nonsense."""
    session, adapter, name, number, token, host, published_at, size, view, holder = row
    try:
        shown = msgspec.json.decode(str(view), type=View)
    except msgspec.MsgspecError:
        return None
    if shown.info.adapter != adapter:
        return None
    assert isinstance(session, int)
    assert isinstance(number, int)
    assert isinstance(size, int)
    assert isinstance(published_at, datetime)
    return Stored(
        session=session,
        adapter=str(adapter),
        name=str(name),
        number=number,
        token=str(token),
        host=str(host),
        published_at=published_at,
        size=size,
        view=shown,
        holder=read_holder(None if holder is None else str(holder)),
    )

"""The connection to a shared store: made again when it was lost, with errors that help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sdqctl.closing import Closing
from sdqctl.errors import RuntimeMissingError, SdqctlError, SharedStoreError, StoreUnreachableError
from sdqctl.fleet.address import Address
from sdqctl.fleet.schema import has_tables, make_tables

if TYPE_CHECKING:
    import psycopg

_Result = TypeVar("_Result")
KEPT_ALIVE: Mapping[str, Any] = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "application_name": "sdqctl",
}
"""How each connection is opened: after so many seconds, or milliseconds, it counts as lost."""
LONGEST_IDLE = "15s"
"""How long a client may say nothing within a transaction. One that froze there, or whose network is
cut, keeps what it locked from all others until the server gives it up
(postgresql.org/docs/current/runtime-config-client.html).
"""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_SHOWN = 200
_PASSING = ("08", "57P", "40", "53300", "55P03", "25006", "25P03")
"""Beginnings of SQLSTATEs that pass: connection lost, restarts, deadlocks, too many clients, a
standby that is still read only, a transaction that was idle for too long
(postgresql.org/docs/current/errcodes-appendix.html).
"""
_FULL = "53100"
"""No room on its disk: somebody has to make some, and who has time waits for it."""
_HINTS = {
    "28": "look at user, password (~/.pgpass, PGPASSWORD) and pg_hba.conf",
    "3D": "make the database first: `createdb NAME`",
    "42501": "the role lacks a right; see the roles in docs/fleet.md",
    _FULL: "make room on the disk of the database",
    "TLS": "look at sslmode and sslrootcert in the address (libpq's words for TLS)",
}
_WORDS = {
    "TLS": ("not support SSL", "verify failed", "root certificate", "server certificate"),
    "28": ("authentication failed", "no password", 'role "'),
    "3D": ("does not exist",),
}
"""What is said where there is no SQLSTATE: while connecting."""


class Database(Closing):
    """One connection, opened when it is needed. All methods raise StoreUnreachableError (75) for
    what passes by itself, and SharedStoreError (9) for the rest.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: psycopg.Connection | None = None

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """The open connection, within a transaction."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """The open connection: each statement is a transaction of its own, which a store that is
        far away answers at once.
        """
        import_client()
        import psycopg

        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connected()
            yield self._connection
        except psycopg.Error as error:
            self.close()
            raise self.told(error) from error

    def is_made(self) -> bool:
        """Whether there are tables in it. Raises StoreNewerError."""
        with self.connection() as connection:
            return has_tables(connection)

    def make(self) -> list[str]:
        """Make what tables are missing. Raises StoreNewerError."""
        with self.connection() as connection:
            return [] if has_tables(connection) else make_tables(connection)

    def identity(self) -> str:
        """What the store is known by, wherever it is reached."""
        with self.connection() as connection:
            row = connection.execute("SELECT id::text FROM sdqctl.store").fetchone()
        return str(row[0]) if row else ""

    def patiently(
        self, work: Callable[[], _Result], seconds: float, hurry: threading.Event
    ) -> _Result:
        """Do something that may be done twice, again and again while the store is out of reach;
        not again once there is a `hurry`.
        """
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while True:
            try:
                return work()
            except SdqctlError as error:
                is_late = time.monotonic() + pause > deadline
                if not may_pass(error) or is_late or hurry.wait(pause):
                    raise
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _connected(self) -> psycopg.Connection:
        import psycopg

        connection = psycopg.connect(self.address.secret, autocommit=True, **KEPT_ALIVE)
        connection.execute(f"SET idle_in_transaction_session_timeout = '{LONGEST_IDLE}'".encode())
        return connection

    def told(self, error: psycopg.Error) -> SharedStoreError | StoreUnreachableError:
        """An error of the client's or the server's as it is told, without secrets."""
        words = self.address.without_secrets(" ".join(str(error).split()))[:_SHOWN]
        message = f"the shared store {self.address.shown}: {words}"
        kind = _kind(error)
        if kind is None and passes(error):
            return StoreUnreachableError(
                message, hint="try again when the database can be reached; nothing was lost here"
            )
        return SharedStoreError(message, hint=None if kind is None else _HINTS[kind])


def passes(error: psycopg.Error) -> bool:
    """Whether what failed may be tried again after a while, also when the disk is full."""
    import psycopg

    if (kind := _kind(error)) is not None:
        return kind == _FULL
    state = error.sqlstate or ""
    return state.startswith(_PASSING) if state else isinstance(error, psycopg.OperationalError)


def may_pass(error: SdqctlError) -> bool:
    """The same of an error that a Database raised."""
    import psycopg

    return isinstance(error.__cause__, psycopg.Error) and passes(error.__cause__)


def _kind(error: psycopg.Error) -> str | None:
    """Which of the errors it is that there is a hint for."""
    if error.sqlstate:
        return next((kind for kind in _HINTS if error.sqlstate.startswith(kind)), None)
    found = (kind for kind, words in _WORDS.items() if any(word in str(error) for word in words))
    return next(found, None)


def import_client() -> None:
    """Raise RuntimeMissingError where the client of Postgres is not installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise RuntimeMissingError(
            "a shared store needs the client of Postgres, which is not installed",
            hint="install sdqctl with it: `pipx install 'sdqctl[fleet]'`",
        ) from error

"""The tables of a shared store: named migrations, forward only, never edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdqctl.errors import StoreNewerError

if TYPE_CHECKING:
    from psycopg import Connection

_LOCK = 7_365_711
"""Of the advisory lock under which tables are made: two that begin at once make them once."""
MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001-states-of-sessions",
        (
            "CREATE SCHEMA IF NOT EXISTS sdqctl",
            "CREATE TABLE sdqctl.migrations (name text PRIMARY KEY, applied_at timestamptz "
            "NOT NULL DEFAULT now())",
            "CREATE TABLE sdqctl.store (id uuid PRIMARY KEY DEFAULT gen_random_uuid())",
            "INSERT INTO sdqctl.store DEFAULT VALUES",
            """
            CREATE TABLE sdqctl.sessions (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                adapter text NOT NULL,
                name text NOT NULL,
                known_by text NOT NULL,
                fence bigint NOT NULL DEFAULT 0,
                holder text,
                held_until timestamptz,
                UNIQUE (adapter, known_by)
            )
            """,
            """
            CREATE TABLE sdqctl.states (
                session bigint NOT NULL REFERENCES sdqctl.sessions ON DELETE CASCADE,
                number bigint NOT NULL,
                fence bigint NOT NULL,
                token text NOT NULL,
                published_at timestamptz NOT NULL DEFAULT now(),
                host text NOT NULL,
                size bigint NOT NULL,
                pieces bytea[] NOT NULL,
                view text NOT NULL,
                PRIMARY KEY (session, number)
            )
            """,
            """
            CREATE TABLE sdqctl.pieces (
                session bigint NOT NULL REFERENCES sdqctl.sessions ON DELETE CASCADE,
                digest bytea NOT NULL,
                data bytea NOT NULL,
                PRIMARY KEY (session, digest)
            )
            """,
        ),
    ),
    (
        "0002-a-queue-of-runs",
        (
            """
            CREATE TABLE sdqctl.runs (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                adapter text NOT NULL,
                name text NOT NULL,
                known_by text NOT NULL,
                label text NOT NULL,
                tag text NOT NULL,
                priority integer NOT NULL,
                digest text NOT NULL,
                spec text NOT NULL,
                status text NOT NULL DEFAULT 'queued',
                job bigint,
                attempts integer NOT NULL DEFAULT 0,
                worker text,
                message text,
                exit_code integer,
                answer text,
                comment text,
                steps_done integer,
                steps_total integer,
                enqueued_at timestamptz NOT NULL DEFAULT now(),
                touched_at timestamptz NOT NULL DEFAULT now(),
                started_at timestamptz,
                ended_at timestamptz,
                UNIQUE (adapter, known_by)
            )
            """,
            "CREATE INDEX runs_by_status ON sdqctl.runs (status, tag)",
            "CREATE TABLE sdqctl.paused_tags (tag text PRIMARY KEY)",
            """
            CREATE TABLE sdqctl.bases (
                commit_id text PRIMARY KEY,
                bundle bytea NOT NULL
            )
            """,
        ),
    ),
    (
        "0003-one-rate-limit",
        ("CREATE TABLE sdqctl.limits (adapter text PRIMARY KEY, not_before timestamptz NOT NULL)",),
    ),
    (
        "0004-room-and-budgets",
        (
            "CREATE TABLE sdqctl.room (tag text PRIMARY KEY, most integer NOT NULL)",
            """
            CREATE TABLE sdqctl.batches (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                max_tokens bigint,
                max_cost double precision,
                tokens bigint NOT NULL DEFAULT 0,
                cost double precision NOT NULL DEFAULT 0
            )
            """,
            "ALTER TABLE sdqctl.runs ADD COLUMN batch bigint REFERENCES sdqctl.batches, "
            "ADD COLUMN waits boolean NOT NULL DEFAULT false",
            "CREATE INDEX runs_by_batch ON sdqctl.runs (batch) WHERE batch IS NOT NULL",
        ),
    ),
    (
        "0005-what-an-answer-is-for",
        (
            "ALTER TABLE sdqctl.runs ADD COLUMN gate text",
            "UPDATE sdqctl.runs SET gate = '' WHERE status = 'paused' OR answer IS NOT NULL",
        ),
    ),
)


def has_tables(connection: Connection) -> bool:
    """Whether the tables are there and whole. Raises StoreNewerError for newer ones."""
    if _value(connection, "SELECT to_regclass('sdqctl.migrations')") is None:
        return False
    return len(_applied(connection)) == len(MIGRATIONS)


def make_tables(connection: Connection) -> list[str]:
    """Make the tables, or bring them up to date, in one transaction; returns what was done.

    Raises StoreNewerError.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        there = _value(connection, "SELECT to_regclass('sdqctl.migrations')") is not None
        applied = _applied(connection) if there else []
        done = []
        for name, statements in MIGRATIONS[len(applied) :]:
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute("INSERT INTO sdqctl.migrations (name) VALUES (%s)", (name,))
            done.append(name)
        return done


def _applied(connection: Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sdqctl.migrations ORDER BY name").fetchall()
    names = [str(row[0]) for row in found]
    if names != [name for name, _ in MIGRATIONS[: len(names)]]:
        raise StoreNewerError(
            f"the shared store was made by a newer sdqctl (it has {names[-1]})",
            hint="install the newest sdqctl on all machines that share it",
        )
    return names


def _value(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None

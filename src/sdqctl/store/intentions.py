"""What was about to be done in a runtime, written down before: copies of sessions, and sessions
that come or go. What a kill left of them is known by it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.errors import SessionUnusableError
from sdqctl.model.session import SessionInfo, SessionRef, folded
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import forget_copy
from sdqctl.text.commands import on_session

CopiesBegun = Mapping[tuple[str, str], SessionRef]
"""The originals of copies that are being made or were cut off, by adapter and folded name."""


def begin_copy(
    ledger: Ledger, original: SessionRef, name: str, turns: Sequence[str | None]
) -> None:
    """Record that a session is about to be copied under a name, with the messages of its turns: its
    copy's id is the runtime's choice. `put_session` records that it is made.
    """
    row = (original.adapter, folded(name), original.id, msgspec.json.encode(turns).decode())
    with ledger.database.write("ledger.fork") as connection:
        connection.execute("INSERT OR REPLACE INTO copies_begun VALUES (?, ?, ?, ?)", row)


def end_copy(ledger: Ledger, adapter: str, name: str) -> None:
    """Record that no copy of this name is being made, or is left half made."""
    with ledger.database.write("ledger.fork") as connection:
        forget_copy(connection, adapter, name)


def copies_begun(ledger: Ledger) -> CopiesBegun:
    """The copies that were not recorded as made."""
    rows = ledger.rows("SELECT adapter, name, original FROM copies_begun")
    return {
        (row["adapter"], row["name"]): SessionRef(row["adapter"], row["original"]) for row in rows
    }


def turns_to_copy(ledger: Ledger, adapter: str, name: str) -> list[str | None]:
    """The messages of the turns that an original had when its copy of this name was begun."""
    query = "SELECT turns FROM copies_begun WHERE adapter = ? AND name = ?"
    rows = ledger.rows(query, adapter, folded(name))
    return msgspec.json.decode(rows[0]["turns"], type=list[str | None]) if rows else []


def original_of(info: SessionInfo, begun: CopiesBegun) -> SessionRef | None:
    """The session of which another one is a copy that is not whole; None for any other session."""
    return begun.get((info.adapter, folded(info.name))) if info.name is not None else None


def refuse_half_copy(ledger: Ledger, info: SessionInfo) -> None:
    """Raise SessionUnusableError for a copy that is not whole: what its talk has is not in the
    ledger, and would be done once more.
    """
    original = original_of(info, copies_begun(ledger))
    if original is not None:
        raise half_copy(info, ledger.session_names().get(original, original.id))


def half_copy(info: SessionInfo, original: str) -> SessionUnusableError:
    """What is raised for a copy that is not whole of a session of this name."""
    again = on_session("sessions fork", original, more=info.label)
    return SessionUnusableError(
        f"session {info.label!r} is a copy of {original!r} that is not whole: it is being made, or "
        "that was cut off",
        hint=f"`{again}` makes it again, `{on_session('sessions delete', info.label)}` removes it",
    )


@dataclass(frozen=True)
class Unsettled:
    """A session that was to come or to go: what is recorded of it is void once the runtime does not
    have it.
    """

    with_files: bool
    """Whether its snapshots and the like go as well: it was to be deleted."""
    bundle: Path | None
    """Where in the trash it was put before, if it was."""


def unsettle(ledger: Ledger, ref: SessionRef, bundle: Path | None) -> None:
    """Record that a session is about to be deleted, with its bundle in the trash, if it has one;
    `Ledger.forget_session` records that it is.
    """
    with ledger.database.write("ledger.unsettle") as connection:
        row = (ref.adapter, ref.id, 1, None if bundle is None else str(bundle))
        connection.execute("INSERT OR REPLACE INTO unsettled_sessions VALUES (?, ?, ?, ?)", row)


def put_unsettled(connection: sqlite3.Connection, ref: SessionRef) -> None:
    """Record within an open transaction that a session is about to be made for the rows that are
    put in; `settle` records that it is there.
    """
    row = (ref.adapter, ref.id)
    connection.execute("INSERT OR REPLACE INTO unsettled_sessions VALUES (?, ?, 0, NULL)", row)


def settle(ledger: Ledger, ref: SessionRef) -> None:
    """Record that a session neither comes nor goes."""
    with ledger.database.write("ledger.settle") as connection:
        key = (ref.adapter, ref.id)
        connection.execute("DELETE FROM unsettled_sessions WHERE adapter = ? AND id = ?", key)


def unsettled(ledger: Ledger) -> dict[SessionRef, Unsettled]:
    """The sessions that are to come or to go, or were when a command was killed."""
    return {
        SessionRef(row["adapter"], row["id"]): Unsettled(
            bool(row["with_files"]), Path(row["bundle"]) if row["bundle"] else None
        )
        for row in ledger.rows("SELECT * FROM unsettled_sessions")
    }


def all_is_settled(ledger: Ledger) -> bool:
    """Whether no command left anything, or is about to do it."""
    query = "SELECT 1 FROM unsettled_sessions UNION ALL SELECT 1 FROM copies_begun LIMIT 1"
    return not ledger.rows(query)

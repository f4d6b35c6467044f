"""What was about to be done in a runtime, written down before: what a kill left is known by it."""

from __future__ import annotations

from collections.abc import Mapping

from sdqctl.errors import SessionUnusableError
from sdqctl.model.session import SessionInfo, SessionRef, folded
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import forget_copy
from sdqctl.text.commands import on_session

CopiesBegun = Mapping[tuple[str, str], SessionRef]
"""The originals of copies that are being made or were cut off, by adapter and folded name."""


def begin_copy(ledger: Ledger, original: SessionRef, name: str) -> None:
    """Record that a session is about to be copied under a name: its copy's id is the runtime's
    choice. `put_session` records that it is made.
    """
    with ledger.database.write("ledger.fork") as connection:
        key = (original.adapter, folded(name), original.id)
        connection.execute("INSERT OR REPLACE INTO copies_begun VALUES (?, ?, ?)", key)


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

"""What the copy of a session on this machine has to do with the one in a store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from sdqctl.fs import make_private_folder, write_private
from sdqctl.model.session import SessionRef, folded
from sdqctl.sessions.access import Access
from sdqctl.store.transfer import take_rows

_FOLDER = "shared"


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """The state that a copy was made of, or became.

    `tokens` has two while one is being published: whether it is in the store, the store knows.
    """

    session: int
    """The session's number in the store."""
    tokens: tuple[str, ...]
    mark: str
    """What the ledger had of the session then."""


def read_copy(home: Path, store: str, ref: SessionRef) -> Copy | None:
    """What is known of a copy in one store; None for a session that has not been there."""
    try:
        return msgspec.json.decode(_file(home, store, ref).read_bytes(), type=Copy)
    except (OSError, msgspec.MsgspecError):
        return None


def write_copy(home: Path, store: str, ref: SessionRef, copy: Copy) -> None:
    """Write down what a copy is. Raises StoreError."""
    file = _file(home, store, ref)
    make_private_folder(file.parent)
    write_private(file, msgspec.json.encode(copy))


def mark_of(access: Access, ref: SessionRef) -> str:
    """What changes when anything is said or done in a session here."""
    with access.ledger(read_only=True) as ledger:
        rows = take_rows(ledger, ref)
    turns = access.archive(ref.adapter).count_turns(ref.id)
    runs = [(run["id"], run["status"]) for run in rows.runs]
    steps = [
        (
            *(row["run_id"], row["path"], row["status"], row["superseded"], row.get("answer")),
            *([shown] if (shown := row.get("shown_at")) else []),
        )
        for row in rows.attempts
    ]
    return hashlib.sha256(msgspec.json.encode([runs, steps, turns])).hexdigest()


def _file(home: Path, store: str, ref: SessionRef) -> Path:
    text = f"{store}\0{ref.adapter}\0{folded(ref.id)}".encode("utf-8", "surrogatepass")
    return home / _FOLDER / f"{hashlib.sha256(text).hexdigest()[:32]}.json"

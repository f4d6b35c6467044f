"""Full text over all sessions: an index beside the ledger, brought up to date by what changed.

The index is a copy that can be made again at any time; secrets are taken out before they get in.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from sdqctl.adapters.base import SessionArchive
from sdqctl.closing import Closing
from sdqctl.errors import StoreError, UsageError
from sdqctl.fs import make_private_folder
from sdqctl.model.session import SessionRef, Turn
from sdqctl.model.views.session import HitView
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import all_entries
from sdqctl.store.database import closed_by_errors
from sdqctl.store.redact import Redactor

FILE_NAME = "search.db"
_VERSION = 2
"""Another one is made anew, as it is when more kinds of secrets are known."""
_BUSY_SECONDS = 10.0
_SCHEMA = (
    """
    CREATE TABLE sessions (
        key INTEGER PRIMARY KEY,
        adapter TEXT NOT NULL,
        id TEXT NOT NULL,
        size INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        UNIQUE (adapter, id)
    )
    """,
    """
    CREATE VIRTUAL TABLE texts USING fts5(
        content, session UNINDEXED, turn UNINDEXED, kind UNINDEXED, at UNINDEXED,
        tokenize = "unicode61 remove_diacritics 2"
    )
    """,
    f"PRAGMA user_version = {_VERSION}",
)
OPEN_MARK, CLOSE_MARK = "\x02", "\x03"
"""What stands around a found word in a snippet."""


@dataclass(frozen=True)
class Hit:
    """One place. `snippet` has the words between OPEN_MARK and CLOSE_MARK."""

    ref: SessionRef
    turn: int
    kind: str
    at: datetime | None
    snippet: str
    name: str | None = None
    """What the session is called, None for one that went in the meantime."""

    @property
    def plain(self) -> str:
        """The snippet without its marks."""
        return self.snippet.replace(OPEN_MARK, "").replace(CLOSE_MARK, "")

    def view(self) -> HitView:
        """The place as JSON shows it."""
        return HitView(
            id=self.ref.id,
            name=self.name,
            adapter=self.ref.adapter,
            turn=self.turn,
            place=self.kind,
            at=self.at,
            snippet=self.plain,
        )


def search_sessions(
    access: Access,
    text: str,
    adapter: str | None = None,
    *,
    kinds: Collection[str],
    since: datetime | None = None,
    limit: int,
) -> list[Hit]:
    """The places where all words of a text stand, the best first; brings the index up to date, or
    makes one for this time where none can be written.

    `kinds` are of `prompt` and `answer`. Raises UsageError without a word, StoreError.
    """
    wanted, redact = access.archives(adapter), Redactor(access.environment)

    def search(index: SearchIndex) -> list[Hit]:
        index.update(access.archives())
        return index.search(text, kinds=kinds, since=since, limit=limit)

    try:
        with SearchIndex.open(access.home, redact) as index:
            found = search(index)
    except (StoreError, sqlite3.OperationalError):  # a full disk, or one that is only read
        with SearchIndex.in_memory(redact) as index:
            found = search(index)
    names = {entry.ref: entry.info.label for entry in all_entries(access, adapter)}
    return [replace(hit, name=names.get(hit.ref)) for hit in found if hit.ref.adapter in wanted]


class SearchIndex(Closing):
    """The index. A context manager."""

    def __init__(self, connection: sqlite3.Connection, redact: Callable[[str], str]) -> None:
        self._connection = connection
        self._redact = redact

    @classmethod
    def open(cls, home: Path, redact: Callable[[str], str]) -> Self:
        """Open the index, made anew if it is of another version or damaged. Raises StoreError."""
        make_private_folder(home)
        path = home / FILE_NAME
        try:
            connection = _connect(path)
        except sqlite3.DatabaseError:
            for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
                (home / name).unlink(missing_ok=True)
            connection = _connect(path)
        return cls(connection, redact)

    @classmethod
    def in_memory(cls, redact: Callable[[str], str]) -> Self:
        """An empty index that nothing is left of."""
        return cls(_prepared(sqlite3.connect(":memory:", isolation_level=None)), redact)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def update(
        self, archives: Mapping[str, SessionArchive], stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Read the sessions whose journals changed, and forget those that are gone. `stop` says,
        after each session, whether to leave off: False is returned then.
        """
        if not any(self._changes(archives)):
            return True
        with _transaction(self._connection):
            gone, changed = self._changes(archives)  # again: another process may have been here
            for key in gone:
                self._connection.execute("DELETE FROM texts WHERE session = ?", (key,))
                self._connection.execute("DELETE FROM sessions WHERE key = ?", (key,))
            for ref, fingerprint in changed:
                self._add(ref, fingerprint, archives[ref.adapter])
                if stop():
                    return False
        return True

    def _changes(
        self, archives: Mapping[str, SessionArchive]
    ) -> tuple[list[int], list[tuple[SessionRef, tuple[int, int]]]]:
        """The keys of what has to go, and the sessions that have to be read."""
        known = {
            (adapter, session_id): (key, (size, changed))
            for key, adapter, session_id, size, changed in self._connection.execute(
                "SELECT key, adapter, id, size, changed FROM sessions"
            )
        }
        changed = []
        for name, archive in archives.items():
            for info in archive.sessions():
                now = archive.fingerprint(info.id)
                key = (name, info.id)
                if now is not None and now == known.get(key, (0, None))[1]:
                    del known[key]
                elif now is not None:
                    changed.append((SessionRef(*key), now))
        return [key for key, _ in known.values()], changed

    def sessions_with(self, word: str) -> frozenset[SessionRef]:
        """The sessions in whose text a word stands, or a longer one that begins so."""
        rows = self._connection.execute(
            """SELECT DISTINCT sessions.adapter, sessions.id
            FROM texts JOIN sessions ON sessions.key = texts.session WHERE texts MATCH ?""",
            (_query(word),),
        )
        return frozenset(SessionRef(*row) for row in rows)

    def search(
        self, text: str, *, kinds: Iterable[str], since: datetime | None, limit: int
    ) -> list[Hit]:
        """The best places for all of the words, best first. Raises UsageError without a word."""
        query = _query(text)
        marks = (OPEN_MARK, CLOSE_MARK)
        wanted = list(kinds)
        rows = self._connection.execute(
            f"""SELECT sessions.adapter, sessions.id, turn, kind, at,
                snippet(texts, 0, ?, ?, '…', 24)
            FROM texts JOIN sessions ON sessions.key = texts.session
            WHERE texts MATCH ? AND kind IN ({", ".join("?" for _ in wanted)})
                AND (? IS NULL OR at >= ?)
            ORDER BY rank LIMIT ?""",
            (*marks, query, *wanted, *[since.isoformat() if since else None] * 2, limit),
        )
        return [
            Hit(
                SessionRef(row[0], row[1]),
                row[2],
                row[3],
                datetime.fromisoformat(row[4]) if row[4] else None,
                row[5],
            )
            for row in rows
        ]

    def _add(self, ref: SessionRef, fingerprint: tuple[int, int], archive: SessionArchive) -> None:
        cursor = self._connection.execute(
            "INSERT INTO sessions (adapter, id, size, changed) VALUES (?, ?, ?, ?)",
            (ref.adapter, ref.id, *fingerprint),
        )
        key = cursor.lastrowid
        with suppress(OSError):  # a journal that went away is forgotten next time
            self._connection.executemany(
                "INSERT INTO texts VALUES (?, ?, ?, ?, ?)",
                ((self._redact(text), key, *rest) for text, *rest in _texts(archive.turns(ref.id))),
            )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _texts(turns: Iterable[Turn]) -> Iterator[tuple[str, int, str, str | None]]:
    for turn in turns:
        at = turn.started_at.isoformat() if turn.started_at else None
        yield turn.prompt, turn.index, "prompt", at
        if turn.response:
            yield turn.response, turn.index, "answer", at


def _query(text: str) -> str:
    """All words, the last one also as the beginning of a longer one; never FTS5's own language."""
    words = ['"' + word.replace('"', '""') + '"' for word in text.split()]
    if not any(char.isalnum() for char in text):
        raise UsageError("say what to search for")
    return " ".join([*words[:-1], f"{words[-1]}*"])


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return _prepared(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None))


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    with closed_by_errors(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("another version")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            _make_schema(connection)
    return connection


def _make_schema(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA:
                connection.execute(statement)

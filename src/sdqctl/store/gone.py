"""What is recorded of sessions that others deleted: kept, and no part of a new one of the id."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from itertools import chain, count

import msgspec

from sdqctl.model.session import SessionRef, session_id_for

_OTHERS = """
    SELECT id FROM runs WHERE adapter = ?1 AND id NOT IN (SELECT value FROM json_each(?3))
"""
_ANSWERED = f"""
    SELECT 1 FROM attempts WHERE session_id = ?2 AND status = 'done' AND turn_id IS NOT NULL
    AND run_id IN ({_OTHERS}) LIMIT 1
"""
_TAKEN = """
    SELECT 1 FROM runs WHERE adapter = ?1 AND session_id = ?2
    UNION ALL SELECT 1 FROM attempts WHERE session_id = ?2 LIMIT 1
"""
_MOVE_RUNS = f"""
    UPDATE runs SET session_id = ?4, session_name = ?5
    WHERE session_id = ?2 AND id IN ({_OTHERS})
    AND EXISTS (SELECT 1 FROM attempts WHERE run_id = runs.id)
"""


def set_aside(
    connection: sqlite3.Connection, ref: SessionRef, name: str, *, but: Collection[str] = ()
) -> str | None:
    """Give what is recorded of a session that the runtime does not have another id and name, within
    an open transaction, before a new one is made; `but` for these runs.

    Returns that name. None where no prompt was answered in it: it may have been killed before the
    runtime made it, and its runs go on in the new one.
    """
    key = (ref.adapter, ref.id, msgspec.json.encode([*but]).decode())
    if connection.execute(_ANSWERED, key).fetchone() is None:
        return None
    names = chain([f"{name} (gone)"], (f"{name} (gone {number})" for number in count(2)))
    label = next(each for each in names if not _is_taken(connection, ref.adapter, each))
    new = session_id_for(label)
    connection.execute(_MOVE_RUNS, (*key, new, label))
    for table in ("attempts", "tool_requests"):
        statement = f"UPDATE {table} SET session_id = ?4 WHERE session_id = ?2 AND run_id IN"
        connection.execute(f"{statement} ({_OTHERS})", (*key, new))
    return label


def _is_taken(connection: sqlite3.Connection, adapter: str, name: str) -> bool:
    return connection.execute(_TAKEN, (adapter, session_id_for(name))).fetchone() is not None

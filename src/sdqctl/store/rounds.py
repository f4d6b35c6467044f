"""The recorded lists of a block that was decided anew: rounds go with their items, and a branch
that is not gone into any more goes."""

from __future__ import annotations

from collections.abc import Mapping

from sdqctl.model.paths import part_of
from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import place_called


def place_lists(ledger: Ledger, run_id: str, path: str, parts: Mapping[str, str]) -> None:
    """Lay the lists of the block at a path under its newest decision, at once with forgetting the
    decisions before: `parts` is old part -> new part, lists without one are superseded.
    """
    with ledger.database.write("ledger.rounds") as connection:
        rows = connection.execute(
            "SELECT number, path FROM attempts WHERE run_id = ? AND superseded = 0 ORDER BY number",
            (run_id,),
        ).fetchall()
        moved = {row["path"]: _moved(row["path"], path, parts) for row in rows}
        newest = max(row["number"] for row in rows if row["path"] == path)
        for row in rows:
            new = moved[row["path"]]
            if new is None or (row["path"] == path and row["number"] != newest):
                statement = "UPDATE attempts SET superseded = 1 WHERE number = ?"
                connection.execute(statement, (row["number"],))
            elif new != row["path"]:
                statement = "UPDATE attempts SET path = ? WHERE number = ?"
                connection.execute(statement, (new, row["number"]))
        place_called(connection, run_id, {old: new for old, new in moved.items() if new})


def is_entered(ledger: Ledger, run_id: str, part: str) -> bool:
    """Whether anything is recorded of a list, by the path that it is entered by: `6[3]`."""
    query = "SELECT 1 FROM attempts WHERE run_id = ? AND path >= ? AND path < ? AND superseded = 0"
    return bool(ledger.rows(f"{query} LIMIT 1", run_id, f"{part}.", f"{part}/"))


def _moved(path: str, block: str, parts: Mapping[str, str]) -> str | None:
    """The new path of a step; None for one in a list that is gone."""
    part = part_of(path, block)
    if part is None:
        return path
    new = parts.get(part)
    return None if new is None else f"{block}{new}{path[len(block) + len(part) :]}"

"""The recorded rounds of a loop whose list was decided anew: they go with their items."""

from __future__ import annotations

from collections.abc import Mapping

from sdqctl.store.ledger import Ledger
from sdqctl.store.rows import place_called


def place_rounds(ledger: Ledger, run_id: str, path: str, turns: Mapping[int, int]) -> None:
    """Lay the rounds of the FOR at a path under its newest list, at once with forgetting the lists
    before: `turns` is old number -> new number, rounds without one are superseded.
    """
    with ledger.database.write("ledger.rounds") as connection:
        rows = connection.execute(
            "SELECT number, path FROM attempts WHERE run_id = ? AND superseded = 0 ORDER BY number",
            (run_id,),
        ).fetchall()
        moved = {row["path"]: _moved(row["path"], path, turns) for row in rows}
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


def _moved(path: str, loop: str, turns: Mapping[int, int]) -> str | None:
    """The new path of a step; None for one in a round that is gone."""
    if not path.startswith(f"{loop}["):
        return path
    number, bracket, rest = path[len(loop) + 1 :].partition("]")
    new = turns.get(int(number))
    return None if new is None else f"{loop}[{new}{bracket}{rest}"

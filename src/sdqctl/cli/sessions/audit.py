"""What `sessions show --audit` prints. Knows no click."""

from __future__ import annotations

from collections.abc import Sequence

from sdqctl.cli.output import is_terminal, note
from sdqctl.cli.table import Cell, Column, iso, print_rows
from sdqctl.model.audit import ToolRecord

_COLUMNS = (
    Column("WHEN"),
    Column("STEP"),
    Column("DECISION"),
    Column("KIND"),
    Column("TARGET", shrinks=True),
    Column("BY", shrinks=True),
    Column("REASON", shrinks=True),
)


def print_audit(records: Sequence[ToolRecord]) -> None:
    """One line a request: a table on a terminal, tab-separated values in a pipe."""
    if not records:
        note("no tool was asked for")
    elif is_terminal():
        print_rows(_COLUMNS, [_shown(record) for record in records], as_table=True)
    else:
        rows = [[Cell(value) for value in _values(record)] for record in records]
        print_rows((), rows, as_table=False)


def _shown(record: ToolRecord) -> list[Cell]:
    when = f"{record.time.astimezone():%m-%d %H:%M:%S}" if record.time else "-"
    decision = Cell("allowed") if record.allowed else Cell("refused", colour="red")
    step = "-" if record.position is None else str(record.position)
    kind = record.kind or record.tool or "-"
    plain = (record.target, record.by, "" if record.allowed else record.reason)
    return [Cell(when), Cell(step), decision, Cell(kind), *map(Cell, plain)]


def _values(record: ToolRecord) -> tuple[str, ...]:
    """In the order that the command's help names."""
    return (
        iso(record.time),
        record.run or "",
        "" if record.position is None else str(record.position),
        record.tool or "",
        record.kind or "",
        record.target,
        "allowed" if record.allowed else "refused",
        record.by,
        record.reason,
        record.source,
    )

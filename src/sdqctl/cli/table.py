"""One printer for rows: a table on a terminal, tab-separated values in a pipe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sdqctl.cli.output import is_terminal, paint, terminal_width, write, write_painted
from sdqctl.text.terminal import display_width, end_of, one_line, sanitize

_GAP = 2
_NARROWEST = 8
STATUS_COLOURS = {
    "running": "blue",
    "completed": "green",
    "failed": "red",
    "interrupted": "yellow",
    "paused": "yellow",
    "idle": "dim",
}
"""What each status of a session is shown in."""


class Cell(NamedTuple):
    """One value: as a person reads it, as a machine does, and its colour."""

    text: str
    value: str | None = None
    colour: str | None = None


@dataclass(frozen=True)
class Column:
    """A heading; a column that may shrink, or be dropped, gives way when the terminal is narrow."""

    heading: str
    shrinks: bool = False
    least: int = _NARROWEST
    """The width that a column that shrinks is still worth showing at."""
    dropped: int = 0
    """The first to go is 1, then 2, and so on; 0 stays."""
    keeps_end: bool = False
    """Whether it is the beginning of a text that gives way: the ends tell paths apart."""


def print_rows(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, as_table: bool | None = None
) -> None:
    """Print rows: a table on a terminal (or if told so), else tab-separated values, no heading."""
    if as_table if as_table is not None else is_terminal():
        for line in table_lines(columns, rows, terminal_width()):
            write_painted(f"{line}\n")
        return
    texts = [[c.value if c.value is not None else c.text for c in row] for row in rows]
    print_values(texts)


def print_values(rows: Iterable[Sequence[str]]) -> None:
    """Print rows as tab-separated values, one a line, whatever is in them."""
    lines = []
    for values in rows:
        line = "\t".join(values)
        if line.count("\t") != len(values) - 1 or "\n" in line or sanitize(line) != line:
            line = "\t".join(map(_one_field, values))
        lines.append(f"{line}\n")
    write("".join(lines))


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[str]:
    """The lines of a table that fits into `width` columns."""
    texts = [[one_line(cell.text) for cell in row] for row in rows]
    widths = [
        max([display_width(column.heading), *(display_width(row[i]) for row in texts)])
        for i, column in enumerate(columns)
    ]
    shown = _shown(columns, widths, width)
    _shrink(columns, widths, width, shown)
    heading = [paint(_pad(columns[i].heading, widths[i]), "bold") for i in shown]
    lines = [(" " * _GAP).join(heading).rstrip()]
    for row, cells in zip(texts, rows, strict=True):
        parts = []
        for i in shown:
            cut = end_of if columns[i].keeps_end else one_line
            padded = _pad(cut(row[i], widths[i]), widths[i])
            colour = cells[i].colour
            parts.append(paint(padded, colour) if colour else padded)
        lines.append((" " * _GAP).join(parts).rstrip())
    return lines


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago: `just now`, `5m ago`, `2h ago`, `3d ago`, `4w ago`."""
    if moment is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size * (2 if unit == "w" else 1):
            return f"{int(seconds // size)}{unit} ago"
    return "just now"


def short_path(path: str | None) -> str:
    """A folder as users write it, with ~ for their own; `-` when not known."""
    if path is None:
        return "-"
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path


def iso(moment: datetime | None) -> str:
    """ISO 8601 in UTC, nothing when not known."""
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else ""


def _shown(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The columns that fit when each that shrinks has the width that it is worth showing at."""
    shown = list(range(len(columns)))
    for i in sorted((i for i in shown if columns[i].dropped), key=lambda i: columns[i].dropped):
        least = [
            min(widths[j], columns[j].least) if columns[j].shrinks else widths[j] for j in shown
        ]
        if sum(least) + _GAP * (len(shown) - 1) <= width:
            break
        shown.remove(i)
    return shown


def _shrink(columns: Sequence[Column], widths: list[int], width: int, shown: Sequence[int]) -> None:
    excess = sum(widths[i] for i in shown) + _GAP * (len(shown) - 1) - width
    while excess > 0:
        able = [i for i in shown if columns[i].shrinks and widths[i] > _NARROWEST]
        if not able:
            return
        widest = max(able, key=lambda i: (widths[i] > columns[i].least, widths[i]))
        widths[widest] -= 1
        excess -= 1


def _pad(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _one_field(value: str) -> str:
    return sanitize(" ".join(value.split("\t"))).replace("\n", " ")

"""`sdqctl sessions usage`."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import DURATION, examples
from sdqctl.cli.output import is_terminal, note, write, write_json
from sdqctl.cli.table import Cell, Column, print_rows, print_values
from sdqctl.text.duration import format_duration

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.store.usage import UsageRow

_BAR = 20
_FIELDS = ("prompts", "input_tokens", "output_tokens", "cached_tokens", "model_calls", "tools")


@click.command(
    epilog=examples(
        "sdqctl sessions usage", "sdqctl sessions usage --by workflow --since 30d --format csv"
    )
)
@click.option(
    "--by",
    "group",
    type=click.Choice(["day", "workflow", "model", "session"]),
    default="day",
    show_default=True,
)
@click.option("--since", type=DURATION, metavar="DUR", help="Only what was used since then.")
@click.option("--format", "output_format", type=click.Choice(["table", "json", "csv"]))
@click.pass_obj
def usage(app: App, /, group: str, since: float | None, output_format: str | None) -> None:
    """Show what runs used: tokens, cost, tools, time.

    Columns in a pipe: the group, prompts, input, output and cached tokens, model calls, tools,
    cost, seconds.
    """
    from sdqctl.store.usage import usage_by, usage_values

    start = datetime.now(UTC) - timedelta(seconds=since) if since else None
    with app.ledger(read_only=True) as ledger:
        rows = usage_by(ledger, group, start)
    found = [usage_values(group, row) for row in rows]
    if output_format == "json":
        write_json(found)
    elif output_format == "csv":
        _write_csv(group, found)
    elif output_format == "table" or is_terminal():
        _print_table(group, rows)
    else:
        print_values([*map(str, values.values())] for values in found)


def _write_csv(group: str, found: list[dict[str, object]]) -> None:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [group, *_FIELDS, "cost", "seconds"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    write(stream.getvalue())


def _print_table(group: str, rows: list[UsageRow]) -> None:
    if not rows:
        note("nothing was used yet")
        return
    columns = (
        Column(group.upper(), shrinks=True),
        Column("PROMPTS"),
        Column("TOKENS"),
        Column(""),
        Column("TOOLS"),
        Column("COST"),
        Column("TIME"),
    )
    most = max(_tokens(row) for row in rows) or 1
    cells = [
        [
            Cell(row.group),
            Cell(str(row.prompts)),
            Cell(f"{_tokens(row):,}"),
            Cell(_bar(_tokens(row), most), colour="blue"),
            Cell(str(row.tools)),
            Cell(f"{row.usage.cost:g}" if row.usage.cost else "-"),
            Cell(format_duration(row.seconds)),
        ]
        for row in rows
    ]
    print_rows(columns, cells, as_table=True)


def _bar(tokens: int, most: int) -> str:
    """A bar of tokens; any are at least a block, none are none."""
    return "█" * max(1, round(_BAR * tokens / most)) if tokens else ""


def _tokens(row: UsageRow) -> int:
    return row.usage.input_tokens + row.usage.output_tokens

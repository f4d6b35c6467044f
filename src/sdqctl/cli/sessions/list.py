"""`sdqctl sessions list`, and the table of sessions that other commands show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from sdqctl.cli.completion import complete_words
from sdqctl.cli.options import adapter_option, examples, filter_options, store_option
from sdqctl.cli.output import counted, is_terminal, note, write_json
from sdqctl.cli.shared import with_stored
from sdqctl.cli.table import (
    STATUS_COLOURS,
    Cell,
    Column,
    age,
    iso,
    print_rows,
    print_values,
    short_path,
)
from sdqctl.errors import UsageError

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.sessions.board import Item
    from sdqctl.sessions.query import Entry, Query

_SORTED_BY = ("modified", "started", "name", "status", "adapter", "cwd", "tokens")
_FIELDS = complete_words(*_SORTED_BY, *(f"-{field}" for field in _SORTED_BY))
_STATUSES = ("idle", "running", "paused", "failed", "interrupted", "completed")
_OLD = 30 * 86_400.0
_COLUMNS = (
    Column("NAME", shrinks=True, least=24),
    Column("STATUS"),
    Column("AGE"),
    Column("REMOTE", dropped=1),
    Column("RUN", dropped=3),
    Column("CWD", shrinks=True, least=12, dropped=2),
)


@click.command(
    "list",
    epilog=examples(
        "sdqctl sessions list --filter 'audit-*' --status paused",
        "sdqctl sessions list --here --format json",
    ),
)
@filter_options
@click.option("--status", type=click.Choice(_STATUSES), help="Only with this status.")
@click.option("--here", is_flag=True, help="Only those that work in this project.")
@click.option("--repository", metavar="R", help="Only of this repository (owner/name).")
@click.option("--branch", metavar="B", help="Only of this branch.")
@click.option(
    "--sort",
    default="-modified",
    metavar="F",
    help="modified, started, name, ...; -F.",
    shell_complete=_FIELDS,
)
@click.option("--limit", type=click.IntRange(0), metavar="N", help="At most so many.")
@click.option("--children", is_flag=True, help="Also those that runs of others called (CALL).")
@store_option("Also those in the shared store; default the configured one.")
@click.option("--watch", is_flag=True, help="Go on with a line for each that changes here.")
@click.option("-v", "--verbose", is_flag=True, help="Say where they were read.")
@adapter_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "tsv"]),
    help="Default: a table on a terminal, else tsv.",
)
@click.pass_obj
def list_command(
    app: App,
    /,
    here: bool,
    adapter: str | None,
    store: str | None,
    watch: bool,
    verbose: bool,
    output_format: str | None,
    **wanted: Any,  # noqa: ANN401 - the fields of Query, which have the names of the options
) -> None:
    """List sessions, the last changed first. Those that the run of another one called are folded
    under that one: +3 after a name.

    Columns of tsv: name, id, status, modified (ISO), remote, run, client, adapter, cwd, kept.
    """
    from sdqctl.sessions import query

    if watch and output_format == "json":
        raise UsageError("--watch does not write JSON", hint="--format tsv has the same fields")
    now = datetime.now(UTC)
    entries = query.all_entries(
        app,
        adapter,
        with_tokens=output_format == "json" or wanted["sort"].removeprefix("-") == "tokens",
        asked=_note_asked if verbose else lambda name: None,
    )
    if store is not None:
        entries = with_stored(app, store, entries, adapter)
    meant = query.Query(here=app.directory if here else None, **wanted)
    every = [entry for entry in entries if wanted["children"] or entry.parent is None]
    found = query.select(entries, meant, now)
    if output_format == "json":
        write_json(query.session_views(app, found))
    elif as_table := output_format == "table" or (output_format is None and is_terminal()):
        print_table(found, now)
        old = query.count_wanted(every, query.Query(older_than=_OLD), now)
        _print_footer(len(found), len(every), old)
    else:
        print_values(map(_values, found))
    if watch:
        _watch(app, found, meant, adapter, as_words=as_table)


def _watch(
    app: App, shown: list[Entry], meant: Query, adapter: str | None, *, as_words: bool
) -> None:
    from sdqctl.cli.sessions.list_watch import watch_list, write_words
    from sdqctl.sessions.query import select

    def choose(entries: list[Entry]) -> list[Entry]:
        own = [entry for entry in entries if adapter in (None, entry.info.adapter)]
        return select(own, meant, datetime.now(UTC))

    def write_values(item: Item, gone: bool) -> None:
        values = _values(item.entry)
        print_values([(*values[:2], "gone", *values[3:]) if gone else values])

    watch_list(app, shown, choose, write_words if as_words else write_values)


def _note_asked(name: str) -> None:
    note(f"the {name} runtime keeps its sessions in an unknown way; it is asked itself")


def print_table(entries: list[Entry], now: datetime) -> None:
    """The sessions as a table for a person."""
    if entries:
        print_rows(_COLUMNS, [_row(entry, now) for entry in entries], as_table=True)
    else:
        note("no sessions")


def _print_footer(found: int, every: int, old: int) -> None:
    if found < every:
        note(f"{found} of {every} sessions shown")
    if old:
        verb = "is" if old == 1 else "are"
        note(
            f"{counted(old, 'session')} {verb} older than 30 days; "
            "`sdqctl sessions cleanup --older-than 30d --dry-run` "
            "shows what could go"
        )


def _row(entry: Entry, now: datetime) -> list[Cell]:
    info = entry.info
    more = f" +{entry.children}" if entry.children else ""
    return [
        Cell(info.label + more),
        Cell(entry.status + (", kept" if entry.kept else ""), colour=STATUS_COLOURS[entry.status]),
        Cell(age(entry.modified, now)),
        Cell("yes" if info.is_remote else "no"),
        Cell(_progress(entry)),
        Cell(short_path(info.cwd)),
    ]


def _values(entry: Entry) -> tuple[str, ...]:
    info = entry.info
    return (
        info.label,
        info.id,
        entry.status.value,
        iso(entry.modified),
        "yes" if info.is_remote else "no",
        _progress(entry),
        info.client or "",
        info.adapter,
        info.cwd or "",
        "kept" if entry.kept else "",
    )


def _progress(entry: Entry) -> str:
    run = entry.run
    return f"{run.steps_done}/{run.steps_total}" if run is not None else "-"

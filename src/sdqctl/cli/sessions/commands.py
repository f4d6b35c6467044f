"""`sdqctl sessions`: list, show, delete, cleanup; the others are in `session_commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session, complete_words
from sdqctl.cli.options import DURATION, adapter_option, examples, filter_options, format_option
from sdqctl.cli.sessions.more_commands import COMMANDS

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_SORTED_BY = ("modified", "started", "name", "status", "adapter", "cwd", "tokens")
_FIELDS = complete_words(*_SORTED_BY, *(f"-{field}" for field in _SORTED_BY))
_STATUSES = ("idle", "running", "paused", "failed", "interrupted", "completed")


@click.group()
def sessions() -> None:
    """List, show, search, fork, export and clean up sessions."""


@sessions.command(
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
@click.option("-v", "--verbose", is_flag=True, help="Say where they were read.")
@adapter_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "tsv"]),
    help="Default: a table on a terminal, else tsv.",
)
@click.pass_obj
def list_command(app: App, /, **options: object) -> None:
    """List sessions, the last changed first.

    Columns of tsv: name, id, status, modified (ISO), remote, run, client, adapter, cwd, kept.
    """
    from sdqctl.cli.sessions.list import ListRequest, list_sessions

    list_sessions(app, ListRequest(**options))  # type: ignore[arg-type]


@sessions.command(
    epilog=examples("sdqctl sessions show audit-1", "sdqctl sessions show audit-1 --transcript")
)
@click.argument("session", shell_complete=complete_session)
@click.option("--transcript", is_flag=True, help="The whole conversation.")
@click.option("--audit", is_flag=True, help="Every tool request: what decided it, and why.")
@adapter_option
@format_option("text", "json")
@click.pass_obj
def show(
    app: App,
    /,
    session: str,
    transcript: bool,
    audit: bool,
    adapter: str | None,
    output_format: str,
) -> None:
    """Show SESSION: its state, its runs with their steps, its turns.

    Columns of --audit in a pipe: time (ISO), run, step, tool, kind, target, allowed or refused,
    what decided, reason, source (policy, hook, user, net, journal).
    """
    from sdqctl.cli.sessions.show import ShowRequest, show_session

    as_json = output_format == "json"
    show_session(app, session, adapter, ShowRequest(transcript, audit, as_json))


@sessions.command(
    epilog=examples(
        "sdqctl sessions delete audit-1",
        "sdqctl sessions delete --filter 'try-*' --older-than 7d --dry-run",
    )
)
@click.argument("names", metavar="[SESSION]...", nargs=-1, shell_complete=complete_session)
@filter_options
@click.option("--dry-run", is_flag=True, help="Show what would go; delete nothing.")
@click.option("--purge", is_flag=True, help="Also from the runtime's own full-text store.")
@click.option("--force", is_flag=True, help="Do not ask.")
@adapter_option
@format_option("text", "json")
@click.pass_obj
def delete(
    app: App,
    /,
    names: tuple[str, ...],
    pattern: str | None,
    older_than: float | None,
    newer_than: float | None,
    dry_run: bool,
    purge: bool,
    force: bool,
    adapter: str | None,
    output_format: str,
) -> None:
    """Delete sessions, by whole name or id, or by filter. One in use is refused (exit 75)."""
    from sdqctl.cli.sessions.delete import DeleteRequest, delete_sessions
    from sdqctl.sessions.query import Query

    query = Query(pattern=pattern, older_than=older_than, newer_than=newer_than)
    request = DeleteRequest(
        names=names,
        query=query,
        adapter=adapter,
        dry_run=dry_run,
        purge=purge,
        force=force,
        as_json=output_format == "json",
    )
    delete_sessions(app, request)


@sessions.command(
    epilog=examples(
        "sdqctl sessions cleanup --older-than 30d --dry-run",
        "sdqctl sessions cleanup --older-than 7d --filter 'nightly-*' --force",
    )
)
@click.option("--older-than", type=DURATION, required=True, metavar="DUR", help="30m, 24h, 7d.")
@click.option("--filter", "pattern", metavar="GLOB", help="Only these names or ids.")
@click.option("--all-clients", is_flag=True, help="Also sessions that sdqctl did not make.")
@click.option("--include-unfinished", is_flag=True, help="Also those with an unfinished run.")
@click.option("--dry-run", is_flag=True, help="Show what would go; delete nothing.")
@click.option("--purge", is_flag=True, help="Also from the runtime's own full-text store.")
@click.option("--force", is_flag=True, help="Do not ask.")
@adapter_option
@format_option("text", "json")
@click.pass_obj
def cleanup(
    app: App,
    /,
    older_than: float,
    pattern: str | None,
    all_clients: bool,
    include_unfinished: bool,
    dry_run: bool,
    purge: bool,
    force: bool,
    adapter: str | None,
    output_format: str,
) -> None:
    """Delete sessions by age, but for those in use, of other programs, or with an open run."""
    from sdqctl.cli.sessions.delete import DeleteRequest, delete_sessions
    from sdqctl.sessions.query import Query

    request = DeleteRequest(
        names=(),
        query=Query(pattern=pattern, older_than=older_than),
        adapter=adapter,
        dry_run=dry_run,
        purge=purge,
        force=force,
        as_json=output_format == "json",
        cleanup=True,
        all_clients=all_clients,
        include_unfinished=include_unfinished,
    )
    delete_sessions(app, request)


for command in COMMANDS:
    sessions.add_command(command)

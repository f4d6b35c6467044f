"""`sdqctl sessions`: look into sessions, carry them, keep them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_deleted, complete_folder, complete_session
from sdqctl.cli.options import DURATION, adapter_option, examples, format_option

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_PATH = click.Path(path_type=Path)
_MONTH = 30 * 86_400.0


@click.command(
    epilog=examples(
        "sdqctl sessions export audit-1 -o audit.html",
        "sdqctl sessions export audit-1 --format bundle -o audit-1.sdqctl",
    )
)
@click.argument("session", shell_complete=complete_session)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["md", "html", "json", "jsonl", "bundle"]),
    help="How it is written; default what FILE's suffix says, else md.",
)
@click.option("-o", "--output", type=_PATH, metavar="FILE", help="Write to FILE; default stdout.")
@click.option("--with-secrets", is_flag=True, help="Carry a bundle whole, with keys and passwords.")
@adapter_option
@click.pass_obj
def export(
    app: App,
    /,
    session: str,
    output_format: str | None,
    output: Path | None,
    with_secrets: bool,
    adapter: str | None,
) -> None:
    """Write SESSION as a text, a page, data, or a bundle that `import` takes.

    What looks like a secret is taken out.
    """
    from sdqctl.cli.sessions.transfer import export_session

    export_session(app, session, adapter, output_format, output, with_secrets=with_secrets)


@click.command(
    "import",
    epilog=examples(
        "sdqctl sessions import audit-1.sdqctl",
        "sdqctl sessions import audit-1.sdqctl --name from-ci --cwd .",
    ),
)
@click.argument("file", type=_PATH)
@click.option("--name", metavar="N", help="Another name.")
@click.option(
    "--cwd",
    type=_PATH,
    metavar="DIR",
    help="Where its working directory is here.",
    shell_complete=complete_folder,
)
@click.pass_obj
def import_command(app: App, /, file: Path, name: str | None, cwd: Path | None) -> None:
    """Make a session of a bundle: its history, its runs, its workflow."""
    from sdqctl.cli.sessions.transfer import import_session

    import_session(app, file, name, cwd)


@click.command(
    epilog=examples(
        "sdqctl sessions restore audit-1", "sdqctl sessions restore audit-1 --name audit-1-again"
    )
)
@click.argument("session", shell_complete=complete_deleted)
@click.option("--name", metavar="N", help="Under another name.")
@click.pass_obj
def restore(app: App, /, session: str, name: str | None) -> None:
    """Bring a deleted SESSION back from the trash, the last deleted of that name."""
    from sdqctl.cli.sessions.transfer import restore_session

    restore_session(app, session, name)


@click.group()
def trash() -> None:
    """List or empty the trash of deleted sessions."""


@trash.command(
    "list",
    epilog=examples("sdqctl sessions trash list", "sdqctl sessions trash list --format json"),
)
@format_option("text", "json")
@click.pass_obj
def trash_list(app: App, /, output_format: str) -> None:
    """Show what can be restored."""
    from sdqctl.cli.sessions.transfer import list_trash

    list_trash(app, as_json=output_format == "json")


@trash.command(
    "empty",
    epilog=examples(
        "sdqctl sessions trash empty", "sdqctl sessions trash empty --older-than 0 --force"
    ),
)
@click.option(
    "--older-than", type=DURATION, default=_MONTH, metavar="DUR", help="Default 30d; 0 is all."
)
@click.option("--force", is_flag=True, help="Do not ask.")
@click.pass_obj
def trash_empty(app: App, /, older_than: float, force: bool) -> None:
    """Remove for good what was deleted more than 30 days ago."""
    from sdqctl.cli.sessions.transfer import empty_trash

    empty_trash(app, older_than, force=force)


@click.command(
    epilog=examples(
        "sdqctl sessions fork audit-1 what-if", "sdqctl sessions fork audit-1 from-step-3 --at 3"
    )
)
@click.argument("session", shell_complete=complete_session)
@click.argument("name", metavar="NEW")
@click.option("--at", metavar="PLACE", help="A step, a checkpoint, or turn:N; default the end.")
@adapter_option
@click.pass_obj
def fork(app: App, /, session: str, name: str, at: str | None, adapter: str | None) -> None:
    """Copy SESSION under the name NEW, up to a place.

    The original stays as it is; `resume NEW --continue` goes on from the place.
    """
    from sdqctl.cli.sessions.fork import fork_session

    fork_session(app, session, name, at, adapter)


@click.command(
    epilog=examples(
        "sdqctl sessions rename audit-1 audit-of-may",
        "sdqctl sessions rename audit-1 done -a copilot",
    )
)
@click.argument("session", metavar="OLD", shell_complete=complete_session)
@click.argument("name", metavar="NEW")
@adapter_option
@click.pass_obj
def rename(app: App, /, session: str, name: str, adapter: str | None) -> None:
    """Give session OLD the name NEW, in its runtime too."""
    from sdqctl.cli.sessions.fork import rename_session

    rename_session(app, session, name, adapter)


@click.command(
    epilog=examples("sdqctl sessions keep audit-1", "sdqctl sessions keep audit-1 --off")
)
@click.argument("session", shell_complete=complete_session)
@click.option("--off", is_flag=True, help="No longer protect it.")
@adapter_option
@click.pass_obj
def keep(app: App, /, session: str, off: bool, adapter: str | None) -> None:
    """Protect SESSION from cleanup."""
    from sdqctl.cli.sessions.fork import keep_session

    keep_session(app, session, adapter, off=off)


@click.command(
    epilog=examples(
        "sdqctl sessions search sql injection",
        "sdqctl sessions search timeout --in prompts --since 7d",
    )
)
@click.argument("text", nargs=-1, required=True)
@click.option(
    "--in",
    "where",
    type=click.Choice(["prompts", "answers", "all"]),
    default="all",
    show_default=True,
    help="Where to look.",
)
@click.option("--since", type=DURATION, metavar="DUR", help="Only what was said since then.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N")
@adapter_option
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), help="json: data.")
@click.pass_obj
def search(app: App, /, text: tuple[str, ...], **options: object) -> None:
    """Find the places where all words of TEXT stand, the best first.

    Columns in a pipe: name, id, turn, prompt or answer, time (ISO), text.
    """
    from sdqctl.cli.sessions.search import SearchRequest, search_sessions

    search_sessions(app, SearchRequest(text=" ".join(text), **options))  # type: ignore[arg-type]


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
    from sdqctl.cli.sessions.usage import show_usage

    show_usage(app, group, since, output_format)


COMMANDS = (export, import_command, restore, trash, fork, rename, keep, search, usage)
"""What `sdqctl sessions` has besides list, show, delete and cleanup."""

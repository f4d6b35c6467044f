"""`sdqctl sessions export`, `import`, `restore` and `trash`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_deleted, complete_folder, complete_session
from sdqctl.cli.options import DURATION, adapter_option, examples, format_option
from sdqctl.cli.output import counted, is_terminal, note, write_data, write_json, write_line
from sdqctl.cli.table import Cell, Column, age, iso, print_rows
from sdqctl.errors import UsageError
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line, sanitize

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.session import SessionInfo
    from sdqctl.sessions.transfer import Carried
    from sdqctl.sessions.trash import Deleted

_PATH = click.Path(path_type=Path)
_MONTH = 30 * 86_400.0
_COLUMNS = (Column("NAME", shrinks=True), Column("DELETED"), Column("SIZE"), Column("ADAPTER"))


@click.command(
    epilog=examples(
        "sdqctl sessions export audit-1 -o audit.html",
        "sdqctl sessions export audit-1 --workspace -o audit-1.sdqctl",
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
@click.option(
    "--workspace", is_flag=True, help="Carry the snapshots of its files in a bundle, as they are."
)
@adapter_option
@click.pass_obj
def export(
    app: App,
    /,
    session: str,
    output_format: str | None,
    output: Path | None,
    with_secrets: bool,
    workspace: bool,
    adapter: str | None,
) -> None:
    """Write SESSION as a text, a page, data, or a bundle that `import` takes.

    What looks like a secret is taken out.
    """
    from sdqctl.sessions.export import format_of

    chosen = output_format or (format_of(output) if output is not None else "md")
    if with_secrets and chosen != "bundle":
        raise UsageError("--with-secrets is for bundles", hint="say --format bundle -o FILE")
    if workspace and chosen != "bundle":
        raise UsageError("--workspace is for bundles", hint="say --format bundle -o FILE")
    export_session(
        app, session, adapter, chosen, output, with_secrets=with_secrets, with_files=workspace
    )


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
@click.option("--no-workspace", is_flag=True, help="Without the files that are in the bundle.")
@click.pass_obj
def import_command(
    app: App, /, file: Path, name: str | None, cwd: Path | None, no_workspace: bool
) -> None:
    """Make a session of a bundle: its history, its runs, its workflow.

    Files that are in it become a git worktree of its own, of the repository in DIR.
    """
    from sdqctl.sessions.transfer import import_session

    info = import_session(app, file, name, cwd, with_files=not no_workspace)
    _report_arrival(info)
    note(f"imported; `{on_session('resume', one_line(info.label))}` goes on in it")


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
    from sdqctl.sessions.transfer import restore_session

    _report_arrival(restore_session(app, session, name))
    note("restored")


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
    from sdqctl.sessions.trash import deleted_sessions

    found = deleted_sessions(app.home)
    if output_format == "json":
        write_json([entry.view() for entry in found])
        return
    as_table = is_terminal()
    rows = [_trash_row(entry, as_table=as_table) for entry in found]
    print_rows(_COLUMNS if as_table else (), rows, as_table=as_table)
    note(f"{counted(len(found), 'deleted session')}, {_size(sum(e.size for e in found))}")


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
    from sdqctl.sessions.trash import deleted_before, remove

    going = deleted_before(app.home, older_than)
    if not force and not sys.stdin.isatty():
        raise UsageError("without a terminal nothing is removed unasked", hint="say --force")
    if going and not force:
        sys.stderr.write(f"Remove {counted(len(going), 'deleted session')} for good? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            note("nothing was removed")
            return
    for entry in going:
        remove(entry)
        write_line(one_line(entry.label))
    note(f"{counted(len(going), 'deleted session')} removed for good")


def export_session(
    app: App,
    argument: str,
    adapter: str | None,
    output_format: str,
    output: Path | None,
    *,
    with_secrets: bool = False,
    with_files: bool = False,
) -> None:
    """Write a session in a format to stdout or a file, without its secrets, and say so.

    Raises UsageError, StoreError.
    """
    from sdqctl.sessions import detail, export, resolve, transfer
    from sdqctl.store.redact import Redactor

    if output_format == "bundle":
        if output is None:
            raise UsageError("a bundle is a file: say where with -o FILE")
        entry = resolve.find_session(app, argument, adapter)
        carried = transfer.bundle_session(
            app, entry.info, output, with_secrets=with_secrets, with_files=with_files
        )
        _report_secrets(carried)
        for line in carried.calls:
            note(f"warning: {one_line(line)}")
        if carried.left_behind:
            note(one_line(carried.left_behind))
        if with_files:
            note("the files of its snapshots are in the bundle as they are, with any secrets")
        note(f"exported {one_line(entry.info.label)} to {output}")
        return
    found = detail.read_detail(app, argument, adapter)
    text = export.exported(found, output_format, Redactor(app.environment))
    if output_format == "md":
        text = sanitize(text)
    if output is None:
        write_data(text.encode("utf-8", "surrogatepass"))
        return
    export.write_export(output, text)
    note(f"exported {one_line(found.entry.info.label)} to {output}")


def _report_secrets(carried: Carried) -> None:
    for name in carried.left_out:
        note(f"warning: {one_line(name)} is left out: it cannot be looked through, or has a secret")
    if carried.changed:
        note(
            "what looks like a secret is not in the bundle, nor in the steps that are still to "
            "run; --with-secrets carries the session whole"
        )


def _report_arrival(info: SessionInfo) -> None:
    write_line(one_line(info.label))
    if info.cwd is not None and not Path(info.cwd).is_dir():
        note(f"its working directory is not here: {info.cwd}; resume it with --cwd DIR")


def _trash_row(entry: Deleted, *, as_table: bool) -> list[Cell]:
    when = age(entry.deleted_at) if as_table else iso(entry.deleted_at)
    size = _size(entry.size) if as_table else str(entry.size)
    adapter = entry.info.adapter if entry.info else "unreadable"
    return [Cell(entry.label), Cell(when), Cell(size), Cell(adapter)]


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"

"""`sdqctl trust`: let what a repository brings take effect, as it is now."""

from __future__ import annotations

import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_folder
from sdqctl.cli.options import examples, format_option
from sdqctl.cli.output import is_terminal, note, write_json, write_line
from sdqctl.errors import InterruptedRunError, UsageError
from sdqctl.model.trust import TrustState
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.engine.repository import Repository
    from sdqctl.model.views.trust import TrustedView

_TOLD = {
    TrustState.EMPTY: "brings nothing that needs trust",
    TrustState.TRUSTED: "is trusted as it is now",
    TrustState.CHANGED: "was trusted, and has changed since: it has no effect",
    TrustState.UNTRUSTED: "is not trusted: it has no effect",
    TrustState.REFUSED: "cannot be trusted: it has no effect",
}


@click.command(epilog=examples("sdqctl trust --show", "sdqctl trust ~/src/shop"))
@click.argument(
    "folder",
    metavar="[PATH]",
    type=click.Path(path_type=Path),
    default=".",
    shell_complete=complete_folder,
)
@click.option("--show", "only_show", is_flag=True, help="Only show it.")
@click.option("--yes", "-y", is_flag=True, help="Trust it without asking.")
@click.option("--remove", is_flag=True, help="Take the trust back.")
@click.option("--list", "list_all", is_flag=True, help="List the folders that are trusted.")
@format_option("text", "json")
@click.pass_obj
def trust(
    app: App,
    /,
    folder: Path,
    only_show: bool,
    yes: bool,
    remove: bool,
    list_all: bool,
    output_format: str,
) -> None:
    """Let what the repository around PATH brings take effect, as it is now.

    That is its sdqctl.toml, and for the agent hooks, settings, servers, agents, skills, extensions
    and plugins. Until then none of it has an effect; when one of these files changes, is added or
    goes, it has to be trusted again. Read it first: it runs programs as you.
    """
    from sdqctl.engine import trust as work

    if sum((only_show, remove, list_all)) > 1:
        raise click.UsageError("--show, --remove and --list exclude each other.")
    home, as_json = app.trust_home, output_format == "json"
    if list_all:
        known = work.trusted_paths(home)
        write_json(known) if as_json else _print_trusted(known)
        return
    if remove:
        root, removed = work.distrust_around(home, folder)
        write_json(work.distrust_view(removed)) if as_json else _note_removed(root, removed)
        return
    if as_json and not (yes or only_show):
        raise UsageError("--format json asks nothing", hint="say --yes, or --show")
    found = work.repository_around(app.environment, home, folder)
    if not as_json:
        _print_repository(found)
    if not only_show and work.needs_trust(found):
        if not yes:
            _ask(found)
        work.trust_repository(home, found)
        note(f"{found.place} is trusted until it changes")
    if as_json:
        found = work.repository_around(app.environment, home, folder)
        write_json(work.trust_view(found))


def _print_trusted(known: list[TrustedView]) -> None:
    for each in known:
        write_line(one_line(each.file or each.folder))


def _note_removed(root: Path, removed: list[Path]) -> None:
    for place in removed:
        note(f"{place} is no longer trusted")
    if not removed:
        note(f"{root} is not trusted")


def _ask(found: Repository) -> None:
    """Ask on the terminal; what was typed before the question is no answer to it.

    Raises UsageError when there is nobody to ask, InterruptedRunError unless the answer is yes.
    """
    if not (sys.stdin.isatty() and is_terminal(sys.stderr)):
        raise UsageError("without a terminal nothing is trusted unasked", hint="say --yes")
    sys.stdout.flush()
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    sys.stderr.write(f"Let this take effect in {one_line(str(found.place))}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InterruptedRunError("nothing was trusted")


def _print_repository(found: Repository) -> None:
    """What a repository brings, and whether it takes effect."""
    for file in found.files:
        does = f"cannot be trusted: {file.problem}" if file.problem else file.summary
        write_line(f"{file.kind}\t{one_line(file.path)}\t{does}")
    for word in ("added", "changed", "gone"):
        for path in getattr(found.changes, word):
            note(f"{word} since it was trusted: {one_line(path)}")
    note(f"{found.place} {_TOLD[found.state]}")

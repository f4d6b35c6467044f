"""`sdqctl trust`: let what a repository brings take effect, as it is now."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_folder
from sdqctl.cli.options import examples, format_option

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.engine.repository import Repository
    from sdqctl.model.views.trust import TrustView


@dataclass(frozen=True, kw_only=True)
class TrustRequest:
    """What `trust` was asked for."""

    folder: Path
    remove: bool = False
    yes: bool = False
    as_json: bool = False


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
    if sum((only_show, remove, list_all)) > 1:
        raise click.UsageError("--show, --remove and --list exclude each other.")
    as_json = output_format == "json"
    request = TrustRequest(folder=folder, remove=remove, yes=yes, as_json=as_json)
    if list_all:
        list_trusted(app, as_json=as_json)
    elif remove:
        remove_trust(app, request)
    elif only_show:
        show_repository(request, find_repository(app, folder))
    else:
        trust_repository(app, request)


def find_repository(app: App, folder: Path) -> Repository:
    """What the repository around a folder brings. Raises UsageError when it is no folder."""
    from sdqctl.config import load_settings
    from sdqctl.engine.repository import look_at_repository
    from sdqctl.errors import UsageError

    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    directory = folder.resolve()
    settings = load_settings(app.environment, directory)
    return look_at_repository(app.trust_home, directory, settings.project, ignored=settings.ignored)


def trust_repository(app: App, request: TrustRequest) -> None:
    """Show what there is, ask, and record it as it was shown.

    Raises UsageError for what cannot be trusted, or when there is nobody to ask.
    """
    from sdqctl.cli.output import is_terminal, note
    from sdqctl.errors import InterruptedRunError, UsageError
    from sdqctl.model.repository import digests
    from sdqctl.model.trust import TrustState
    from sdqctl.trust import trust as record

    found = find_repository(app, request.folder)
    if request.as_json and not request.yes:
        raise UsageError("--format json asks nothing", hint="say --yes, or --show")
    if not request.as_json:
        show_repository(request, found)
    if found.state is TrustState.REFUSED:
        file = found.problems[0]
        raise UsageError(f"{found.root / file.path} cannot be trusted: {file.problem}")
    if found.state in (TrustState.UNTRUSTED, TrustState.CHANGED):
        if not request.yes:
            if not (sys.stdin.isatty() and is_terminal(sys.stderr)):
                raise UsageError("without a terminal nothing is trusted unasked", hint="say --yes")
            if not _agrees(found):
                raise InterruptedRunError("nothing was trusted")
        record(app.trust_home, found.place, digests(found.files))
        note(f"{found.place} is trusted until it changes")
    if request.as_json:
        show_repository(request, find_repository(app, request.folder))


def _agrees(found: Repository) -> bool:
    """Ask on the terminal; what was typed before the question is no answer to it."""
    import termios

    from sdqctl.text.terminal import one_line

    sys.stdout.flush()
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    sys.stderr.write(f"Let this take effect in {one_line(str(found.place))}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def remove_trust(app: App, request: TrustRequest) -> None:
    """Take the trust back that a folder, or the repository around it, has."""
    from sdqctl.cli.output import note, write_json
    from sdqctl.model.views.trust import DistrustView
    from sdqctl.project import project_folder
    from sdqctl.trust import distrust

    folder = request.folder.resolve()
    root = project_folder(folder)
    inside = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
    removed = [str(place) for place in inside if distrust(app.trust_home, place)]
    if request.as_json:
        write_json(DistrustView(removed=removed))
        return
    for place in removed:
        note(f"{place} is no longer trusted")
    if not removed:
        note(f"{root} is not trusted")


def list_trusted(app: App, *, as_json: bool) -> None:
    """Print the trusted folders, and the files that version 0.1 was told to trust."""
    from sdqctl.cli.output import write_json, write_line
    from sdqctl.model.views.trust import TrustedView
    from sdqctl.text.terminal import one_line
    from sdqctl.trust import first_trusted, trust_records

    records = trust_records(app.trust_home)
    first = sorted(first_trusted(app.trust_home))
    if as_json:
        folders = [
            TrustedView(folder=r.folder, trusted_at=r.trusted_at, files=r.files) for r in records
        ]
        files = [TrustedView(folder=str(Path(path).parent), file=path) for path in first]
        write_json([*folders, *files])
        return
    for path in (*(record.folder for record in records), *first):
        write_line(one_line(path))


def show_repository(request: TrustRequest, found: Repository) -> None:
    """Print what a repository brings, and whether it takes effect."""
    from sdqctl.cli.output import note, write_json, write_line
    from sdqctl.model.trust import TrustState
    from sdqctl.text.terminal import one_line

    if request.as_json:
        write_json(_view(found))
        return
    for file in found.files:
        does = f"cannot be trusted: {file.problem}" if file.problem else file.summary
        write_line(f"{file.kind}\t{one_line(file.path)}\t{does}")
    for word in ("added", "changed", "gone"):
        for path in getattr(found.changes, word):
            note(f"{word} since it was trusted: {one_line(path)}")
    told = {
        TrustState.EMPTY: "brings nothing that needs trust",
        TrustState.TRUSTED: "is trusted as it is now",
        TrustState.CHANGED: "was trusted, and has changed since: it has no effect",
        TrustState.UNTRUSTED: "is not trusted: it has no effect",
        TrustState.REFUSED: "cannot be trusted: it has no effect",
    }
    note(f"{found.place} {told[found.state]}")


def _view(found: Repository) -> TrustView:
    from sdqctl.model.views.trust import TrustView

    return TrustView(
        folder=str(found.place),
        root=str(found.root),
        state=found.state,
        digest=found.digest,
        trusted_at=found.record.trusted_at if found.record else None,
        files=found.files,
        changes=found.changes,
    )

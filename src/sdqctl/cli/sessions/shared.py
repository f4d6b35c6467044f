"""`sdqctl sessions push` and `pull`: sessions in a store that machines share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_folder, complete_session
from sdqctl.cli.options import DURATION, adapter_option, examples
from sdqctl.cli.output import note, write_line
from sdqctl.cli.shared import open_store
from sdqctl.errors import UsageError
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_store = click.option("--store", metavar="URL", help="The store; default the configured one.")
_wait = click.option(
    "--wait", type=DURATION, default=0.0, metavar="DUR", help="Wait for who holds the session."
)


@click.command(
    epilog=examples(
        "sdqctl sessions push audit-1 --store postgresql://me@db.example/sdqctl",
        "SDQCTL_STORE=postgresql://me@db.example/sdqctl sdqctl sessions push audit-1",
    )
)
@click.argument("session", shell_complete=complete_session)
@_store
@_wait
@adapter_option
@click.pass_obj
def push(app: App, /, session: str, store: str | None, wait: float, adapter: str | None) -> None:
    """Publish SESSION, with its talk, runs and files, in a store that machines share.

    What the store has is not sent again. What looks like a secret stays here.
    """
    with open_store(app, store) as shared:
        done = shared.push(session, adapter, wait)
    if done is None:
        note(f"the store has {one_line(session)} as it is here")
        return
    note(f"published as state {done.number}: {_size(done.size)}, {_size(done.sent)} sent")


@click.command(
    epilog=examples(
        "sdqctl sessions pull audit-1 --cwd ~/clones/shop",
        "sdqctl sessions pull audit-1 --name theirs",
    )
)
@click.argument("session")
@_store
@click.option("--name", metavar="N", help="Another name: a session of its own.")
@click.option(
    "--cwd",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A clone of its repository; default here.",
    shell_complete=complete_folder,
)
@click.option("--no-workspace", is_flag=True, help="Without its files.")
@click.option("--force", is_flag=True, help="Also over a copy here that went on by itself.")
@adapter_option
@click.pass_obj
def pull(
    app: App,
    /,
    session: str,
    store: str | None,
    name: str | None,
    cwd: Path | None,
    no_workspace: bool,
    force: bool,
    adapter: str | None,
) -> None:
    """Bring SESSION here as the store has it: its talk, its runs, its files.

    Its files become a git worktree of its own, of the repository in DIR. An older copy that is here
    goes into the trash. It is as a bundle of somebody else: what its runs were allowed is not
    taken over.
    """
    if name is not None and force:
        raise UsageError("--name and --force cannot be used together")
    with open_store(app, store) as shared:
        arrived = shared.pull(
            session, adapter, name=name, cwd=cwd, force=force, with_files=not no_workspace
        )
    info = arrived.info
    write_line(one_line(info.label))
    if not arrived.is_new:
        note("the store has nothing newer")
        return
    if arrived.replaced:
        note("the copy that was here is in the trash")
    if info.cwd is not None and not Path(info.cwd).is_dir():
        note(f"its working directory is not here: {one_line(info.cwd)}; resume it with --cwd DIR")
    note(f"`{on_session('resume', one_line(info.label))}` goes on in it")


def _size(size: int) -> str:
    return f"{size / 1024:.1f} KiB" if size < 1024**2 else f"{size / 1024**2:.1f} MiB"

"""`sdqctl sessions fork`, `rename` and `keep`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import adapter_option, examples
from sdqctl.cli.output import note, write_line
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.sessions.fork import Forked
    from sdqctl.sessions.query import Entry


@click.command(
    epilog=examples(
        "sdqctl sessions fork audit-1 what-if",
        "sdqctl sessions fork audit-1 from-step-3 --at 3 --worktree",
    )
)
@click.argument("session", shell_complete=complete_session)
@click.argument("name", metavar="NEW")
@click.option("--at", metavar="PLACE", help="A step, a checkpoint, or turn:N; default the end.")
@click.option(
    "--worktree",
    is_flag=False,
    flag_value="",
    metavar="[BRANCH]",
    help="With the files as they were there, in a git worktree of its own; default branch "
    "sdqctl/NEW.",
)
@adapter_option
@click.pass_obj
def fork(
    app: App,
    /,
    session: str,
    name: str,
    at: str | None,
    worktree: str | None,
    adapter: str | None,
) -> None:
    """Copy SESSION under the name NEW, up to a place.

    The original stays as it is; `resume NEW --continue` goes on from the place.
    """
    from sdqctl.sessions.fork import fork_session

    report_fork(fork_session(app, session, name, at, adapter, branch=worktree), name)


@click.command(
    epilog=examples(
        "sdqctl sessions rename audit-1 audit-of-may",
        "sdqctl sessions rename audit-1 done -a mock",
    )
)
@click.argument("session", metavar="OLD", shell_complete=complete_session)
@click.argument("name", metavar="NEW")
@adapter_option
@click.pass_obj
def rename(app: App, /, session: str, name: str, adapter: str | None) -> None:
    """Give session OLD the name NEW, in its runtime too."""
    from sdqctl.sessions.marks import rename_session

    report_rename(rename_session(app, session, name, adapter), name)


@click.command(
    epilog=examples("sdqctl sessions keep audit-1", "sdqctl sessions keep audit-1 --off")
)
@click.argument("session", shell_complete=complete_session)
@click.option("--off", is_flag=True, help="No longer protect it.")
@adapter_option
@click.pass_obj
def keep(app: App, /, session: str, off: bool, adapter: str | None) -> None:
    """Protect SESSION from cleanup."""
    from sdqctl.sessions.marks import keep_session

    entry = keep_session(app, session, adapter, keep=not off)
    state = "no longer kept" if off else "kept: cleanup leaves it alone"
    note(f"{one_line(entry.info.label)} is {state}")


def report_fork(forked: Forked, name: str) -> None:
    """Print the copy's name, and say what it holds."""
    write_line(one_line(name))
    done = f"{forked.steps_done} of {forked.total} steps done"
    kept = "no run to go on with" if forked.total is None else done
    note(f"forked {one_line(forked.original.label)} ({kept})")
    for line in forked.calls:
        note(f"warning: {one_line(line)}")
    if forked.worktree is not None:
        own = forked.worktree
        note(f"its files are in {one_line(own.path)}, on branch {one_line(own.branch)}")


def report_rename(before: Entry, name: str) -> None:
    """Say what a session is called now."""
    note(f"renamed {one_line(before.info.label)} to {one_line(name)}")

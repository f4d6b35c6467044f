"""`sdqctl worktrees`: the work trees that sessions have of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import adapter_option, examples, format_option
from sdqctl.cli.output import is_terminal, note, write_json, write_line
from sdqctl.cli.table import Cell, Column, print_rows
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.sessions.worktrees import Standing

_COLUMNS = (Column("SESSION"), Column("BRANCH"), Column("STATE", shrinks=True), Column("PATH"))


@click.group()
def worktrees() -> None:
    """List, find and remove the git worktrees that sessions have of their own."""


@worktrees.command(
    "list", epilog=examples("sdqctl worktrees list", "sdqctl worktrees list --format json")
)
@format_option("table", "json")
@click.pass_obj
def list_command(app: App, /, output_format: str) -> None:
    """List the worktrees, and what would be lost with each.

    Columns in a pipe: session, branch, what would be lost, path.
    """
    from sdqctl.sessions.worktrees import standing_worktrees

    found = standing_worktrees(app)
    if output_format == "json":
        write_json([each.view() for each in found])
        return
    if not found:
        note("there are no worktrees")
        return
    print_rows(_COLUMNS, [_row(each) for each in found], as_table=is_terminal())


@worktrees.command(
    epilog=examples("sdqctl worktrees path fix-1", "sdqctl worktrees path fix-1 -a mock")
)
@click.argument("session", shell_complete=complete_session)
@adapter_option
@click.pass_obj
def path(app: App, /, session: str, adapter: str | None) -> None:
    """Print the folder of SESSION's worktree."""
    from sdqctl.sessions.worktrees import worktree_path

    write_line(str(worktree_path(app, session, adapter)))


@worktrees.command(
    epilog=examples("sdqctl worktrees prune --dry-run", "sdqctl worktrees prune --all")
)
@click.option("--all", "all_done", is_flag=True, help="Also those of sessions that are done.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def prune(app: App, /, all_done: bool, dry_run: bool) -> None:
    """Remove the worktrees whose session is gone, and in which nothing would be lost.

    With --all also those of sessions that nobody uses and whose run is completed; such a session
    cannot go on then.
    """
    from sdqctl.sessions.worktrees import prune_worktrees

    going, staying = prune_worktrees(app, all_done=all_done, dry_run=dry_run)
    for each in going:
        word = "would remove" if dry_run else "removed"
        note(f"{word} the worktree of {one_line(each.worktree.session_name)}: {each.worktree.path}")
    for each in staying:
        note(f"kept that of {one_line(each.worktree.session_name)}: {each.reason}")
    if not going and not staying:
        note("there are no worktrees")


def _row(each: Standing) -> list[Cell]:
    worktree = each.worktree
    state = each.loss_text or "nothing would be lost"
    return [Cell(worktree.session_name), Cell(worktree.branch), Cell(state), Cell(worktree.path)]

"""`sdqctl store`: look after the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import examples
from sdqctl.cli.output import counted, note, write_line
from sdqctl.errors import StoreDamagedError

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.group()
def store() -> None:
    """Check and back up the ledger."""


@store.command(
    epilog=examples("sdqctl store check", 'sdqctl store check || echo "the ledger is damaged"')
)
@click.pass_obj
def check(app: App, /) -> None:
    """Verify the ledger, and that its snapshots are there; exit 9 when something is damaged."""
    from sdqctl.sessions.snapshots import check_store

    report, found = check_store(app)
    if not report.exists:
        write_line(f"there is no ledger yet: {report.path}")
        return
    counts = f"{report.runs} runs and {report.attempts} attempts at steps can be read"
    if report.problems:
        for problem in report.problems:
            write_line(problem)
        raise StoreDamagedError(
            f"the ledger {report.path} is damaged; {counts}",
            hint="move it away and put a backup in its place; sessions themselves are not touched",
        )
    for line in found.missing:
        write_line(line)
    for keeper in found.unreachable:
        note(f"the git folder {keeper} is gone, and the snapshots in it")
    if found.missing:
        raise StoreDamagedError(
            f"{counted(len(found.missing), 'snapshot')} of {found.there + len(found.missing)} "
            f"missing; {counts}",
            hint="what is below refs/sdqctl of a repository keeps them; the sessions go on without",
        )
    snapshots = f", {counted(found.there, 'snapshot')} are there" if found.there else ""
    write_line(f"{report.path}: sound; {counts}{snapshots}")


@store.command(
    epilog=examples(
        "sdqctl store backup ledger-copy.db", 'sdqctl store backup "/backup/ledger-$(date +%F).db"'
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backup(app: App, /, file: Path) -> None:
    """Copy the ledger to FILE, also while it is in use."""
    from sdqctl.store.check import backup_ledger

    backup_ledger(app.home, file)
    note(f"backed up to {file}")

"""`sdqctl queue`: the runs of a queue, seen and changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import DURATION, MOST, TAG, examples, format_option
from sdqctl.cli.output import counted, is_terminal, note, write_json, write_line
from sdqctl.cli.shared import ask_queue, change_runs, make_tables
from sdqctl.cli.table import STATUS_COLOURS, Cell, Column, age, iso, print_rows
from sdqctl.errors import UsageError
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.fleet.database import Database
    from sdqctl.model.views.queue import QueuedRunView

_STATES = ("queued", "running", "held", "paused", "completed", "failed", "cancelled")
_COLUMNS = (
    Column("NO"),
    Column("RUN", shrinks=True, least=16),
    Column("STATUS"),
    Column("STEPS", dropped=2),
    Column("TAG", dropped=3),
    Column("AGE"),
    Column("WORKER", shrinks=True, least=10, dropped=1),
)
_WEEK = 7 * 86_400.0
_queue = click.option("--queue", metavar="URL", help="The queue; default the configured store.")
_tag = click.option(
    "--tag", type=TAG, default="default", show_default=True, metavar="T", help="Which runs."
)
_SHOWN = 3


@click.group()
def queue() -> None:
    """See and change the runs that workers do."""


@queue.command(
    epilog=examples(
        "sdqctl queue init", "sdqctl queue init --queue postgresql://me@db.example/sdqctl"
    )
)
@_queue
@click.pass_obj
def init(app: App, /, queue: str | None) -> None:
    """Make the tables of store and queue, or bring them up to date."""
    made = make_tables(app, queue)
    note("the tables are made" if made else "the tables are there")


@queue.command(epilog=examples("sdqctl queue status", "sdqctl queue status --format json"))
@_queue
@format_option("text", "json")
@click.pass_obj
def status(app: App, /, queue: str | None, output_format: str) -> None:
    """How many runs there are of each tag and state."""
    from sdqctl.fleet.control import tag_views

    views = ask_queue(app, queue, tag_views)
    if output_format == "json":
        write_json(views)
        return
    for view in views:
        parts = [f"{number} {state}" for state, number in view.runs.items() if number]
        told = ", ".join(parts) or "no runs"
        bounds = ["paused"] if view.paused else []
        bounds += [f"{view.max_running} at a time"] if view.max_running is not None else []
        write_line(one_line(f"{view.tag}: {told}" + (f" ({', '.join(bounds)})" if bounds else "")))
    if not views:
        note("the queue is empty")
    elif (most := views[0].max_running_in_all) is not None:
        note(f"{counted(most, 'run')} at a time in all")


@queue.command(
    "list", epilog=examples("sdqctl queue list --status failed", "sdqctl queue list --format json")
)
@_queue
@click.option("--status", type=click.Choice(_STATES), help="Only in this state.")
@click.option("--tag", metavar="T", help="Only with this tag.")
@format_option("text", "json")
@click.pass_obj
def list_command(
    app: App, /, queue: str | None, status: str | None, tag: str | None, output_format: str
) -> None:
    """List the runs, in the order they were put in."""
    from sdqctl.fleet.control import queued_runs

    found = ask_queue(app, queue, lambda database: queued_runs(database, status=status, tag=tag))
    if output_format == "json":
        write_json(found)
        return
    as_table = is_terminal()
    rows = [_row(run, as_table=as_table) for run in found]
    if found:
        print_rows(_COLUMNS if as_table else (), rows, as_table=as_table)
    note(counted(len(found), "run"))


@queue.command(epilog=examples("sdqctl queue show src/app.py", "sdqctl queue show 12"))
@click.argument("run")
@_queue
@format_option("text", "json")
@click.pass_obj
def show(app: App, /, run: str, queue: str | None, output_format: str) -> None:
    """Show one RUN: a number, a session's name, or a component."""
    from sdqctl.fleet.control import find_runs

    (found,) = ask_queue(app, queue, lambda database: find_runs(database, [run]))
    if output_format == "json":
        write_json(found)
        return
    times = {
        "put in": found.enqueued_at,
        "begun": found.started_at,
        "ended": found.ended_at,
    }
    lines = {
        "number": str(found.number),
        "run": found.label,
        "session": f"{found.name} ({found.adapter})",
        "status": found.status,
        "tag": f"{found.tag}, priority {found.priority}",
        "steps": _steps(found),
        "attempts": str(found.attempts),
        "worker": found.worker or "",
        "message": found.message or "",
        **{name: iso(when) if when else "" for name, when in times.items()},
    }
    for name, text in lines.items():
        if text:
            write_line(one_line(f"{name + ':':11} {text}"))


@queue.command(epilog=examples("sdqctl queue cancel src/app.py", "sdqctl queue cancel 3 4 5"))
@click.argument("runs", nargs=-1, required=True)
@_queue
@click.pass_obj
def cancel(app: App, /, runs: tuple[str, ...], queue: str | None) -> None:
    """Cancel RUNs. One that is being done is stopped; its session stays in the store."""
    from sdqctl.fleet.control import cancel_runs

    _change(app, queue, runs, cancel_runs, "cancelled")


@queue.command(epilog=examples("sdqctl queue retry src/app.py", "sdqctl queue retry --all"))
@click.argument("runs", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that failed.")
@_queue
@click.pass_obj
def retry(app: App, /, runs: tuple[str, ...], every: bool, queue: str | None) -> None:
    """Put RUNs in again that failed, were cancelled, or wait at a PAUSE: they go on where they
    were.
    """
    from sdqctl.fleet.control import queued_runs, retry_runs

    if bool(runs) == every:
        raise click.UsageError("name RUNs, or say --all")
    if runs:
        _change(app, queue, runs, retry_runs, "put in again")
        return

    def work(database: Database) -> list[int]:
        failed = queued_runs(database, status="failed")
        return retry_runs(database, [run.number for run in failed])

    note(f"{counted(len(ask_queue(app, queue, work)), 'run')} put in again")


def _change(
    app: App,
    queue: str | None,
    wanted: Sequence[str],
    change: Callable[[Database, Sequence[int]], list[int]],
    changed: str,
) -> None:
    """Change runs that were named, and say how many were. Raises UsageError for those of which none
    could be, in the state that they are in; the others are changed.
    """
    number, left = change_runs(app, queue, wanted, change)
    if number or not left:
        note(f"{counted(number, 'run')} {changed}")
    if left:
        told = [f"{run.label} is {run.status}" for run in left[:_SHOWN]]
        more = [f"{len(left) - _SHOWN} more"] if len(left) > _SHOWN else []
        raise UsageError(one_line(f"not {changed}: {', '.join(told + more)}"))


@queue.command(
    epilog=examples("sdqctl queue answer release yes", "sdqctl queue answer 12 no --comment late")
)
@click.argument("run")
@click.argument("value")
@click.option("--comment", metavar="TEXT", help="Why; kept with the answer.")
@_queue
@click.pass_obj
def answer(app: App, /, run: str, value: str, comment: str | None, queue: str | None) -> None:
    """Answer the ASK at which RUN waits with VALUE, and put it in again. A worker that finds that
    VALUE does not fit leaves the run waiting, and `queue show` says so.
    """
    from sdqctl.fleet.control import answer_run, find_runs

    def work(database: Database) -> QueuedRunView | None:
        (found,) = find_runs(database, [run])
        return None if answer_run(database, found.number, value, comment) else found

    if (found := ask_queue(app, queue, work)) is not None:
        at = f": {found.message}" if found.message else ""
        hint = "`sdqctl queue retry` lets it pass a PAUSE" if found.status == "paused" else None
        raise UsageError(
            one_line(
                f"{run} waits at no ASK, and the answer was not taken; it is {found.status}{at}"
            ),
            hint=hint or "`sdqctl queue show` has it",
        )
    note("answered, and put in again")


@queue.command(epilog=examples("sdqctl queue pause", "sdqctl queue pause --tag big --off"))
@_tag
@click.option("--off", is_flag=True, help="Let them begin again.")
@_queue
@click.pass_obj
def pause(app: App, /, tag: str, off: bool, queue: str | None) -> None:
    """Let no more runs of a tag begin; those that are being done go on."""
    from sdqctl.fleet import control

    def work(database: Database) -> int:
        return control.unpause(database, tag) if off else control.pause(database, tag)

    number = counted(ask_queue(app, queue, work), "run")
    note(f"{number} may begin again" if off else f"{number} wait until `--off`")


@queue.command(
    epilog=examples("sdqctl queue limit --max-running 20", "sdqctl queue limit --tag big --off")
)
@click.option("--tag", type=TAG, metavar="T", help="Which runs; default all together.")
@click.option("--max-running", type=click.IntRange(0, MOST), metavar="N", help="So many at a time.")
@click.option("--off", is_flag=True, help="As many as there are workers.")
@_queue
@click.pass_obj
def limit(
    app: App, /, tag: str | None, max_running: int | None, off: bool, queue: str | None
) -> None:
    """Bound how many runs are done at a time, over all workers; those at work go on."""
    from sdqctl.fleet.admission import ALL, set_room

    if (max_running is None) is not off:
        raise click.UsageError("give --max-running N, or --off")
    ask_queue(app, queue, lambda database: set_room(database, tag or ALL, max_running))
    which = f"runs of tag {tag}" if tag else "runs"
    many = "as many as there are workers" if off else str(max_running)
    note(one_line(f"{which} at a time: {many}"))


@queue.command(epilog=examples("sdqctl queue purge", "sdqctl queue purge --older-than 1d"))
@click.option(
    "--older-than", type=DURATION, default=_WEEK, metavar="DUR", help="Default 7d; 0 is all."
)
@_queue
@click.pass_obj
def purge(app: App, /, older_than: float, queue: str | None) -> None:
    """Take out runs that ended; their sessions stay in the store."""
    from sdqctl.fleet import control

    number = ask_queue(app, queue, lambda database: control.purge(database, older_than))
    note(f"{counted(number, 'run')} taken out")


def _row(run: QueuedRunView, *, as_table: bool) -> list[Cell]:
    when = run.ended_at or run.started_at or run.enqueued_at
    return [
        Cell(str(run.number)),
        Cell(run.label),
        Cell(run.status, colour=STATUS_COLOURS.get(run.status)),
        Cell(_steps(run)),
        Cell(run.tag),
        Cell(age(when) if as_table else iso(when)),
        Cell(run.worker or ""),
    ]


def _steps(run: QueuedRunView) -> str:
    return "-" if run.steps_total is None else f"{run.steps_done}/{run.steps_total}"

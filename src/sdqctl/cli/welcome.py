"""What `sdqctl` alone says on a terminal: what to do next, and what is unfinished here."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import fill
from typing import TYPE_CHECKING

from sdqctl.cli.output import note, paint, terminal_width, write_line, write_painted
from sdqctl.cli.table import age
from sdqctl.errors import SdqctlError
from sdqctl.sessions.query import Entry, Query, all_entries, select
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_NEXT = (
    ("sdqctl chat", "talk to the agent; `-a mock` needs no account"),
    ("sdqctl init", "workflows to start from; `run FILE.conv` runs one"),
    ("sdqctl resume", "go on in a session; `--last` takes the last one here"),
)
_MOST = 3
"""So many unfinished sessions are shown."""


def welcome(app: App) -> None:
    """Print three things to do next, and the sessions of this project with an unfinished run."""
    _wrapped("sdqctl runs scripted workflows in named, persistent coding-agent sessions.")
    write_line()
    for command, purpose in _NEXT:
        fits = len(purpose) + 24 < terminal_width()
        shown = purpose if fits else purpose.partition(";")[0]
        write_painted(f"  {paint(f'{command:<22}', 'bold')}{shown}\n")
    write_line()
    try:
        _unfinished(app)
    except SdqctlError as error:
        note(f"the sessions cannot be read: {error.message}")
    _wrapped("All commands: `sdqctl --help`. Topics: `sdqctl help`.")


def _wrapped(text: str) -> None:
    write_line(fill(text, terminal_width() - 1))


def _unfinished(app: App) -> None:
    now = datetime.now(UTC)
    query = Query(here=app.directory, children=False)
    found = [entry for entry in select(all_entries(app), query, now) if entry.unfinished()]
    if not found:
        return
    write_painted(paint("Unfinished here:", "bold") + "\n")
    for entry in found[:_MOST]:
        write_line(f"  {_state(entry, now)}")
        write_line(f"      {on_session('resume', one_line(entry.info.label), '--continue')}")
    if len(found) > _MOST:
        write_line(f"  ... and {len(found) - _MOST} more: `sdqctl sessions list --here`")
    write_line()


def _state(entry: Entry, now: datetime) -> str:
    run = entry.run
    steps = f"{run.steps_done} of {run.steps_total} steps done, " if run is not None else ""
    return f"{entry.status}: {steps}{age(entry.modified, now)}"

"""Which session is gone on with when none was named: the last one, or the one that is chosen."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from sdqctl.cli.output import can_draw, is_terminal
from sdqctl.errors import InterruptedRunError, SessionNotFoundError, UsageError
from sdqctl.sessions.recent import in_project, last_of, resumable
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.continuation import ResumeRequest
    from sdqctl.sessions.query import Entry

_NAMED = 5


def choose_session(app: App, request: ResumeRequest) -> tuple[str, ResumeRequest]:
    """The last changed session of this project, or the one that the user chooses on a terminal; to
    go on with a run, among those that have steps left. Returns its id, and the request with its
    adapter.

    Raises UsageError that names some where there is no terminal, SessionNotFoundError where there
    is none to choose, InterruptedRunError for a user who leaves.
    """
    options = request.options
    unfinished = request.continues and request.workflow is None
    entries = resumable(app, options.adapter, unfinished=unfinished)
    entry = last_of(entries, app.directory) if request.last else _chosen(app, entries, unfinished)
    options = msgspec.structs.replace(options, adapter=entry.info.adapter)
    return entry.info.id, replace(request, options=options)


def _chosen(app: App, entries: list[Entry], unfinished: bool) -> Entry:
    if not (sys.stdin.isatty() and is_terminal() and can_draw()):
        raise _without_terminal(app, entries)
    if not entries:
        what = "no session has steps left" if unfinished else "there is no session yet"
        raise SessionNotFoundError(what, hint="`sdqctl chat` begins one")
    from sdqctl.cli.chat.picker import pick_session

    chosen = pick_session(app, entries, app.directory)
    if chosen is None:
        raise InterruptedRunError("no session was chosen")
    return chosen


def _without_terminal(app: App, entries: list[Entry]) -> UsageError:
    """The last ones of this project, else of all, are what was most likely meant."""
    some = in_project(entries, app.directory) or entries
    names = ", ".join(shlex.quote(one_line(entry.info.label)) for entry in some[:_NAMED])
    more = ", ..." if len(some) > _NAMED else ""
    return UsageError(
        "name a SESSION, or give --last; on a terminal with a screen you can choose one",
        hint=f"the last ones are {names}{more}" if names else "there is no session yet",
    )

"""Opening a conversation: which session it is held in. Knows no click."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from sdqctl.cli.output import is_terminal
from sdqctl.cli.runs.continuation import ResumeRequest
from sdqctl.engine.session_names import given_name
from sdqctl.errors import SessionNotFoundError, SessionUnusableError, UsageError
from sdqctl.sessions.query import all_entries
from sdqctl.sessions.resolve import resolve_session
from sdqctl.text.commands import on_session

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.model.options import RunOptions
    from sdqctl.model.session import SessionInfo
    from sdqctl.sessions.query import Entry
    from sdqctl.store.ledger import Ledger


def open_chat(app: App, name: str | None, options: RunOptions, display: Display) -> int:
    """Talk in the session of a name (whole, not a prefix), or in a new one; returns the exit code.

    Raises UsageError without a terminal and for a name that cannot be one, SessionAmbiguousError,
    and what opening the session raises.
    """
    from sdqctl.cli.chat.repl import converse

    if not (sys.stdin.isatty() and is_terminal()):
        raise UsageError(
            "a conversation needs a terminal",
            hint="without one: `sdqctl run -p PROMPT`, then `sdqctl resume NAME --prompt PROMPT`",
        )
    entry = _existing(app, name, options.adapter) if name is not None else None
    if entry is None and name is not None:
        options = msgspec.structs.replace(options, session_name=given_name(name))
    request = ResumeRequest(session=name, options=options, display=display)
    with app.ledger() as ledger:
        return converse(app, request, entry, ledger)


def resume_talk(app: App, request: ResumeRequest, info: SessionInfo, ledger: Ledger) -> int:
    """Talk in a session that is there; returns the exit code."""
    from sdqctl.cli.chat.repl import converse

    return converse(app, request, _entry(app, info), ledger)


def refuse_remote(info: SessionInfo) -> None:
    """Raise SessionUnusableError for a session that is not of this machine."""
    if info.is_remote:
        raise SessionUnusableError(
            f"session {info.label!r} runs remotely and cannot be resumed from here",
            hint="open it where it runs, or start a local one",
        )


def _existing(app: App, name: str, adapter: str | None) -> Entry | None:
    entries = all_entries(app, adapter)
    try:
        info = resolve_session(name, [entry.info for entry in entries], whole=True)
    except SessionNotFoundError:
        return None
    refuse_remote(info)
    return next(entry for entry in entries if entry.info is info)


def _entry(app: App, info: SessionInfo) -> Entry:
    """The session with its state, as a list would show it."""
    for entry in all_entries(app, info.adapter):
        if entry.info.id == info.id:
            return entry
    raise SessionUnusableError(
        f"session {info.label!r} was never created",
        hint=f"`{on_session('resume', info.label, '--continue')}` begins its run",
    )

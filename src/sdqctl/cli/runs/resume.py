"""Going on in a session: one prompt, or the remaining steps of a run. Knows no click."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from sdqctl.cli.options import read_text_argument
from sdqctl.cli.output import is_terminal
from sdqctl.cli.runs.continuation import ResumeRequest, continuation
from sdqctl.cli.runs.launch import question_of, show
from sdqctl.errors import UsageError

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.fleet.sharing import Shared
    from sdqctl.model.session import SessionInfo
    from sdqctl.model.workflow import Step
    from sdqctl.store.ledger import Ledger


__all__ = ["ResumeRequest", "resume_session"]


def resume_session(app: App, request: ResumeRequest) -> int:
    """Go on in a session and print the result; returns the exit code.

    Raises SessionNotFoundError and SessionAmbiguousError, SessionUnusableError for a remote
    session, UsageError when nothing says how to go on, and what the run raises.
    """
    from sdqctl.engine.continuation import prompt_step

    if request.store is not None:
        _check_shared(request)
    elif request.session is None:
        from sdqctl.cli.runs.choosing import choose_session

        session, request = choose_session(app, request)
        request = replace(request, session=session)
    if _talks(request):
        _check_talk(request)
    step = prompt_step(read_text_argument(request.prompt)) if request.prompt is not None else None
    work = partial(_resume if request.store is None else _resume_shared, app, request, step)
    if request.display.detach:
        from sdqctl.cli.runs.background import in_background

        return in_background(app, request.display, work)
    return work(request.display)


def _talks(request: ResumeRequest) -> bool:
    return request.prompt is None and not request.continues


def _resume(
    app: App,
    request: ResumeRequest,
    step: Step | None,
    display: Display,
    shared: Shared | None = None,
) -> int:
    from sdqctl.cli.chat.opening import refuse_remote, resume_talk
    from sdqctl.engine.continuation import prepare_step
    from sdqctl.sessions.resolve import resolve_session
    from sdqctl.store.intentions import refuse_half_copy

    request = replace(request, display=display)
    with app.ledger() as ledger:
        entries = list(_entries(app, request.options.adapter, ledger))
        info = resolve_session(request.session or "", entries)
        refuse_remote(info)
        refuse_half_copy(ledger, info)
        if _talks(request):
            return resume_talk(app, request, info, ledger)
        question = question_of(display)
        if step is not None:
            context = prepare_step(step, info, request.options, app, ledger, question=question)
        else:
            context = continuation(app, request, info, ledger, question)
        return show(context, display, shared)


def _check_shared(request: ResumeRequest) -> None:
    """Raise UsageError where nothing says how to go on in a session of the store."""
    if request.session is None:
        raise UsageError("--store needs the name of a session", hint="`sessions list --store`")
    if request.prompt is None and not request.continues:
        raise UsageError(
            "--store needs --prompt or --continue",
            hint="to talk, `sessions pull` before and `sessions push` after it",
        )


def _resume_shared(app: App, request: ResumeRequest, step: Step | None, display: Display) -> int:
    """Go on in a session as a shared store has it; each step is published."""
    from sdqctl.cli.shared import open_store

    options = request.options
    with (
        open_store(app, request.store) as shared,
        shared.open(request.session or "", options.adapter, options.cwd, options.wait) as held,
    ):
        here = replace(request, session=held.ref.id)
        if held.is_new:  # its tree was made where --cwd is
            here = replace(here, options=structs.replace(options, cwd=None))
        return _resume(app, here, step, display, held)


def _check_talk(request: ResumeRequest) -> None:
    """Raise UsageError where no conversation can be opened, and for what is of a run alone."""
    if not (sys.stdin.isatty() and is_terminal()):
        raise UsageError(
            "say how to go on: --prompt TEXT, or --continue for the workflow's remaining steps",
            hint="on a terminal, neither opens a conversation",
        )
    options, display = request.options, request.display
    of_runs = (options.output_file, options.from_step, display.dry_run)
    if any(of_runs) or display.detach or display.output_format != "text":
        raise UsageError(
            "--output, --from, --dry-run, --detach and --format need --prompt or --continue",
            hint="without both, a conversation is opened",
        )


def _entries(app: App, adapter: str | None, ledger: Ledger) -> Iterator[SessionInfo]:
    """The sessions on disk, and those of which only the ledger knows that they were to be made."""
    from sdqctl.model.session import SessionInfo, SessionRef

    seen = set()
    for archive in app.archives(adapter).values():
        for info in archive.sessions():
            seen.add(SessionRef(info.adapter, info.id))
            yield info
    for ref, run in ledger.last_runs().items():
        if ref not in seen and run.status.unfinished and adapter in (None, ref.adapter):
            yield SessionInfo(id=ref.id, adapter=ref.adapter, name=run.session_name, cwd=run.cwd)

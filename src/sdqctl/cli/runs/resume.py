"""Going on in a session: one prompt, or the remaining steps of a run. Knows no click."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.cli.options import read_text_argument
from sdqctl.cli.output import is_terminal
from sdqctl.cli.runs.launch import Start, default_options, renewed, start, with_flags
from sdqctl.cli.runs.options import RunFlags
from sdqctl.cli.runs.preflight import read_workflow
from sdqctl.errors import SessionBusyError, SessionUnusableError, UsageError

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.run import RunRecord
    from sdqctl.model.session import SessionInfo
    from sdqctl.model.workflow import Workflow
    from sdqctl.sessions.query import Entry
    from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class ResumeRequest:
    """What `resume` was asked for."""

    session: str
    flags: RunFlags
    prompt: str | None = None
    continues: bool = False
    workflow: Path | None = None
    adapter: str | None = None


def resume_session(app: App, request: ResumeRequest) -> int:
    """Go on in a session and print the result; returns the exit code.

    Raises SessionNotFoundError and SessionAmbiguousError, SessionUnusableError for a remote
    session, UsageError when nothing says how to go on, and what the run raises.
    """
    from sdqctl.sessions.resolve import resolve_session

    talks = request.prompt is None and not request.continues
    if talks and not (sys.stdin.isatty() and is_terminal()):
        raise UsageError(
            "say how to go on: --prompt TEXT, or --continue for the workflow's remaining steps",
            hint="on a terminal, neither opens a conversation",
        )
    flags = request.flags
    for_runs = (flags.output, flags.from_step, flags.dry_run, flags.output_format != "text")
    if talks and any(for_runs):
        raise UsageError(
            "--output, --from, --dry-run and --format need --prompt or --continue",
            hint="without both, a conversation is opened",
        )
    text = read_text_argument(request.prompt) if request.prompt is not None else None
    if text is not None and not text.strip():
        raise UsageError("the prompt is empty")
    with app.ledger() as ledger:
        entries = list(_entries(app, request.adapter, ledger))
        info = resolve_session(request.session, entries)
        if info.is_remote:
            raise SessionUnusableError(
                f"session {info.label!r} runs remotely and cannot be resumed from here",
                hint="open it where it runs, or start a local one",
            )
        if talks:
            from sdqctl.cli.chat.talk import talk

            return talk(app, request, _entry(app, info), ledger)
        if text is not None:
            return start(app, prompt_start(app, request, info, text, ledger))
        return start(app, continue_start(app, request, info, ledger))


def _entry(app: App, info: SessionInfo) -> Entry:
    """The session with its state, as a list would show it."""
    from sdqctl.sessions.query import all_entries

    for entry in all_entries(app, info.adapter):
        if entry.info.id == info.id:
            return entry
    raise SessionUnusableError(
        f"session {info.label!r} was never created",
        hint=f"`sdqctl resume {shlex.quote(info.label)} --continue` begins its run",
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


def prompt_start(
    app: App, request: ResumeRequest, info: SessionInfo, text: str, ledger: Ledger
) -> Start:
    """One prompt as a workflow of one step, so that it is recorded like any other."""
    from sdqctl.engine.launch import Target
    from sdqctl.model.session import SessionRef
    from sdqctl.model.workflow import PromptStep, Span, Workflow

    step = PromptStep(span=Span("", 1), text=text)
    cwd = _folder(request.flags.cwd, info.cwd, app.directory)
    return Start(
        workflow=Workflow(path="", source="", steps=(step,)),
        target=Target(ref=SessionRef(info.adapter, info.id), name=info.label, exists=True),
        options=with_flags(default_options(app.working_in(cwd)), request.flags),
        cwd=cwd,
        ledger=ledger,
        flags=request.flags,
        model=request.flags.model,
        literal=True,
    )


def continue_start(app: App, request: ResumeRequest, info: SessionInfo, ledger: Ledger) -> Start:
    """The session's last run, or the workflow that was named, ready to go on."""
    from sdqctl.engine.launch import Target
    from sdqctl.engine.options import decode_options
    from sdqctl.model.session import SessionRef

    ref = SessionRef(info.adapter, info.id)
    last = _last_workflow_run(ledger.runs_of(ref))
    path = request.workflow or _recorded_path(last, info)
    workflow = read_workflow(path, adapter=info.adapter, quiet=request.flags.quiet)
    run = last if last is not None and _belongs(last, workflow) else None

    def choose(entries: Sequence[SessionInfo]) -> Target:
        now = _last_workflow_run(ledger.runs_of(ref))
        goes_on = run if now is None else now if _belongs(now, workflow) else None
        if goes_on is None and now is not None and (last is None or now.id != last.id):
            raise _another_run(now, info)
        return Target(ref=ref, name=info.label, exists=bool(entries), run=goes_on)

    found = app.archive(info.adapter).get(info.id)
    cwd = _folder(request.flags.cwd, run.cwd if run else info.cwd, app.directory)
    options = default_options(app.working_in(cwd))
    if run is not None:
        options = renewed(decode_options(run.options), options)
    return Start(
        workflow=workflow,
        target=choose([found] if found is not None else []),
        choose=choose,
        options=with_flags(options, request.flags),
        cwd=cwd,
        ledger=ledger,
        flags=request.flags,
        model=request.flags.model or (run.model if run else None) or workflow.model,
    )


def _last_workflow_run(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The run that `--continue` means: the last one that came from a workflow file."""
    return next((run for run in reversed(runs) if run.workflow_path is not None), None)


def _another_run(run: RunRecord, info: SessionInfo) -> SessionBusyError:
    return SessionBusyError(
        f"another run began in session {info.label!r} meanwhile: {run.workflow}",
        hint="`sdqctl sessions show` has its state; give the command again to go on with it",
    )


def _recorded_path(run: RunRecord | None, info: SessionInfo) -> Path:
    """The file of a recorded run. Raises UsageError that says what is known if it is gone."""
    from sdqctl.workflow.source import is_stream

    if run is None or run.workflow_path is None:
        raise UsageError(
            f"session {info.label!r} has no run of a workflow to go on with",
            hint=f"name one: `sdqctl resume {shlex.quote(info.label)} --continue WORKFLOW`",
        )
    path = Path(run.workflow_path)
    if path.is_file() and not is_stream(path):
        return path
    raise UsageError(
        f"the workflow of session {info.label!r} is not there any more: {path} "
        f"({run.steps_done} of {run.steps_total} steps are done, "
        f"started {run.started_at.astimezone():%Y-%m-%d %H:%M})",
        hint=f"if it was moved: `sdqctl resume {shlex.quote(info.label)} --continue NEW-PATH`",
    )


def _belongs(run: RunRecord, workflow: Workflow) -> bool:
    """Whether a file is the run's workflow: the same path, or one whose old file has moved here."""
    recorded = Path(run.workflow_path or "")
    return workflow.path == str(recorded) or not recorded.is_file()


def _folder(flag: Path | None, stored: str | None, here: Path) -> Path:
    """Where the agent works: --cwd, else where the session worked, else here.

    Raises SessionUnusableError when that folder is gone.
    """
    folder = flag or (Path(stored) if stored else here)
    if not folder.is_dir():
        raise SessionUnusableError(
            f"the session's working directory is not there any more: {folder}",
            hint="give another one with --cwd DIR",
        )
    return folder.resolve()

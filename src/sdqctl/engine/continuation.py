"""Going on in a session that is there: one step more, or the remaining steps of its last run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from sdqctl.engine.context import RunContext
from sdqctl.engine.options import configured, over, renewed
from sdqctl.engine.preflight import check, check_destinations
from sdqctl.engine.preparation import decided
from sdqctl.engine.setup import Setup
from sdqctl.engine.target import Target, run_of_workflow, to_go_on_with
from sdqctl.errors import SessionBusyError, SessionUnusableError, UsageError
from sdqctl.model.options import RunOptions, decode_options
from sdqctl.model.run import RunRecord
from sdqctl.model.session import SessionInfo, SessionRef
from sdqctl.model.workflow import PromptStep, Span, Step, Workflow
from sdqctl.policy.ask import Question
from sdqctl.store.calls import outermost
from sdqctl.store.ledger import Ledger
from sdqctl.text.commands import on_session
from sdqctl.workflow import refuse_unsendable
from sdqctl.workflow.source import is_stream


def prepare_step(
    step: Step,
    session: SessionInfo,
    options: RunOptions,
    setup: Setup,
    ledger: Ledger,
    *,
    question: Question | None = None,
    run: RunRecord | None = None,
) -> RunContext:
    """One step, such as a prompt, as a run of its own in a session, so that it is recorded like any
    other; a `run` of it that is not done goes on. Its text holds no template variables.

    Raises SessionUnusableError when the folder is gone in which the session works, UsageError and
    SandboxError for options that do not fit.
    """
    cwd = _folder(options.cwd, run.cwd if run else session.cwd, setup.directory)
    setup = setup.working_in(cwd)
    whole = _options(options, setup, run)

    def choose(_: object) -> Target:
        """With the run as it is by now."""
        ref = SessionRef(session.adapter, session.id)
        now = ledger.run(run.id) if run is not None else None
        return Target(ref=ref, name=session.label, exists=True, run=now)

    context = decided(
        Workflow(path="", source="", steps=(step,)),
        whole,
        setup,
        ledger,
        choose,
        (),
        cwd=cwd,
        question=question,
        literal=True,
    )
    check(context)
    return context


def prompt_step(text: str) -> Step:
    """A step that sends a prompt as it is. Raises UsageError for one that cannot be sent."""
    refuse_unsendable(text)
    return PromptStep(span=Span("", 1), text=text)


def _options(options: RunOptions, setup: Setup, run: RunRecord | None) -> RunOptions:
    """The whole options of a run: `options` over those that are kept with one that goes on."""
    whole = configured(setup.settings)
    if run is not None:
        whole = renewed(decode_options(run.options), whole)
    whole = over(options, whole)
    return msgspec.structs.replace(whole, model=whole.model or (run.model if run else None))


def open_prompt(ref: SessionRef, ledger: Ledger) -> RunRecord | None:
    """The run of a prompt that was sent by itself, where it says how the session stands and is not
    done.
    """
    run = ledger.last_runs([ref]).get(ref)
    return run if run is not None and run.is_open_prompt else None


def same_step(run: RunRecord, ledger: Ledger) -> Step:
    """The prompt that such a run sends. Raises UsageError when it is not known as a whole."""
    first = next((one for one in ledger.attempts(run.id) if one.kind == "prompt"), None)
    if first is not None and first.exact_prompt is not None:
        return prompt_step(first.exact_prompt)
    why = "is kept without what looks like a secret in it" if first else "was not recorded"
    again = on_session("resume", run.session_name or run.session_id, "--prompt PROMPT")
    raise UsageError(f"the prompt that was cut off {why}", hint=f"give it again: `{again}`")


def last_run(session: SessionInfo, ledger: Ledger) -> RunRecord | None:
    """The run that is gone on with in a session: of those that came from a workflow file the newest
    that has steps left, else the newest.
    """
    return to_go_on_with(_runs(session, ledger))


def _runs(session: SessionInfo, ledger: Ledger) -> list[RunRecord]:
    """The runs of workflow files in a session that none calls."""
    runs = ledger.runs_of(SessionRef(session.adapter, session.id))
    return [run for run in runs if run.parent_run is None and run.workflow_path is not None]


def _called_run(session: SessionInfo, ledger: Ledger) -> str | None:
    """The session of the run that calls the one of this session, at the top; None: nothing does."""
    run = next(iter(reversed(ledger.runs_of(SessionRef(session.adapter, session.id)))), None)
    if run is None or run.parent_run is None:
        return None
    outer = outermost(ledger, run)
    return outer.session_name or outer.session_id


def recorded_path(session: SessionInfo, ledger: Ledger) -> Path:
    """The file of the run that is gone on with. Raises UsageError that says what is known if it is
    gone.
    """
    run = last_run(session, ledger)
    if run is None and (called := _called_run(session, ledger)) is not None:
        raise UsageError(
            f"session {session.label!r} belongs to the run of session {called!r}, which calls it",
            hint=f"`{on_session('resume', called, '--continue')}` goes on with both",
        )
    if run is None or run.workflow_path is None:
        raise UsageError(
            f"session {session.label!r} has no run of a workflow to go on with",
            hint=f"name one: `{on_session('resume', session.label, '--continue WORKFLOW')}`",
        )
    path = Path(run.workflow_path)
    if path.is_file() and not is_stream(path):
        return path
    raise UsageError(
        f"the workflow of session {session.label!r} is not there any more: {path} "
        f"({run.steps_done} of {run.steps_total} steps are done, "
        f"started {run.started_at.astimezone():%Y-%m-%d %H:%M})",
        hint=f"if it was moved: `{on_session('resume', session.label, '--continue NEW-PATH')}`",
    )


def prepare_continuation(
    workflow: Workflow,
    session: SessionInfo,
    options: RunOptions,
    setup: Setup,
    ledger: Ledger,
    *,
    question: Question | None = None,
) -> RunContext:
    """The remaining steps of the session's run of a workflow, by the options that are kept with it
    and what `options` puts over them; a new run where it has none of this workflow.

    Raises SessionUnusableError when the folder is gone in which the session works, SessionBusyError
    from `launch` when another run began there meanwhile, and what `prepare` raises.
    """
    run = _run_of(workflow, session, ledger)
    found = setup.archive(session.adapter).get(session.id)
    cwd = _folder(options.cwd, run.cwd if run else session.cwd, setup.directory)
    setup = setup.working_in(cwd)
    whole = _options(options, setup, run)
    context = decided(
        workflow,
        msgspec.structs.replace(whole, model=whole.model or workflow.model),
        setup,
        ledger,
        partial(_target, session, workflow, _runs(session, ledger)[-1:], run, ledger),
        [found] if found is not None else [],
        cwd=cwd,
        question=question,
    )
    check(context)
    check_destinations(context)
    return context


def _target(
    session: SessionInfo,
    workflow: Workflow,
    newest: Sequence[RunRecord],
    run: RunRecord | None,
    ledger: Ledger,
    entries: Iterable[SessionInfo],
) -> Target:
    """The session, with its run of the workflow as it is by now; before, `run` was that, and
    `newest` the newest run of all.

    Raises SessionBusyError when another run began meanwhile.
    """
    goes_on = _run_of(workflow, session, ledger) or run
    now = _runs(session, ledger)[-1:]
    if goes_on is None and [one.id for one in now] != [one.id for one in newest]:
        raise _another_run(now[0], session)
    ref = SessionRef(session.adapter, session.id)
    return Target(ref=ref, name=session.label, exists=any(True for _ in entries), run=goes_on)


def _run_of(workflow: Workflow, session: SessionInfo, ledger: Ledger) -> RunRecord | None:
    """The run of a workflow in a session, also of one whose file has moved here."""
    run = run_of_workflow(workflow.path, SessionRef(session.adapter, session.id), ledger)
    last = last_run(session, ledger) if run is None else None
    has_moved = last is not None and not Path(last.workflow_path or "").is_file()
    return last if has_moved else run


def _another_run(run: RunRecord, session: SessionInfo) -> SessionBusyError:
    return SessionBusyError(
        f"another run began in session {session.label!r} meanwhile: {run.workflow}",
        hint="`sdqctl sessions show` has its state; give the command again to go on with it",
    )


def _folder(wanted: Path | None, stored: str | None, here: Path) -> Path:
    """Where the agent works: --cwd, else where the session worked, else here.

    Raises SessionUnusableError when that folder is gone.
    """
    folder = wanted or (Path(stored) if stored else here)
    if not folder.is_dir():
        raise SessionUnusableError(
            f"the session's working directory is not there any more: {folder}",
            hint="give another one with --cwd DIR",
        )
    return folder.resolve()

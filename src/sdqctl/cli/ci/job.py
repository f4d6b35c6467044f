"""A run as a job of CI: gone on with from the state in a file, and reported whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.cli.ci.log import begin_job_log
from sdqctl.cli.ci.options import Job
from sdqctl.cli.ci.reports import Report, reported
from sdqctl.cli.output import note
from sdqctl.cli.runs.launch import read_workflow, show, with_missing_inputs
from sdqctl.cli.shared import open_store
from sdqctl.engine.destinations import refuse_conflicts
from sdqctl.engine.gates import answer_gate, awaits_answer
from sdqctl.engine.preparation import prepare, settle
from sdqctl.engine.session_names import wanted_name
from sdqctl.errors import PausedError, SdqctlError, UsageError
from sdqctl.model.options import OnInterrupted
from sdqctl.sessions.sealing import KEY_VARIABLE, Seal
from sdqctl.sessions.state_file import StateFile
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line
from sdqctl.workflow import prompts_workflow
from sdqctl.workflow.source import is_stream
from sdqctl.workspace.repository import find_repository

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.options import Display
    from sdqctl.engine.context import RunContext
    from sdqctl.model.options import RunOptions
    from sdqctl.model.workflow import Workflow


def begin_job(
    app: App,
    job: Job,
    options: RunOptions,
    display: Display,
    workflows: Sequence[Path],
    *,
    queued: bool,
) -> None:
    """Begin the log of a job. Raises UsageError for flags that make no sense in one."""
    if display.detach or queued:
        raise UsageError("a job waits for its run: leave out --detach and --queue")
    if display.ask:
        raise UsageError("nobody is there to be asked in a job: leave out --ask")
    if display.dry_run and (job.is_kept or job.summary or job.junit):
        raise UsageError("--dry-run runs nothing: leave out --state, --store and the reports")
    if job.is_kept and options.resume_if_exists is False:
        raise UsageError("the run goes on where it was: leave out --no-resume-if-exists")
    app.own_files.update(job.files)
    output = [] if options.output_file is None else [("--output", options.output_file)]
    refuse_conflicts([*job.files.items(), *output], [w for w in workflows if not is_stream(w)])
    if job.ci:
        begin_job_log(os.environ)


def run_job(
    app: App, target: Path | Sequence[str], options: RunOptions, display: Display, job: Job
) -> int:
    """Run a workflow's file, or prompts, as a job; returns the exit code. Raises what the run
    raises.
    """
    key = os.environ.pop(KEY_VARIABLE, None)  # the agent has no use for it
    with reported(target.stem if isinstance(target, Path) else "prompt", job) as report:
        seal = Seal.of(job.state_recipients, key) if job.state is not None else None
        if isinstance(target, Path):
            workflow = read_workflow(target, display, folder=app.directory)
            typed = is_stream(target)
        else:
            workflow, typed = prompts_workflow(target, app.directory), True
        options = with_missing_inputs(workflow, options)
        return _Run(app, workflow, keeps_text=typed).go(options, display, job, seal, report)


@dataclass(frozen=True)
class _Run:
    """A workflow that is run as a job."""

    app: App
    workflow: Workflow
    keeps_text: bool

    def go(
        self, options: RunOptions, display: Display, job: Job, seal: Seal | None, report: Report
    ) -> int:
        """Run it. Raises what the run raises."""
        app, state = self.app, None
        if job.is_kept:
            self._check(options)
        if job.store is not None:
            return self._in_store(options, display, job, job.store, report)
        if job.state is not None:
            _make_folder(job.state.parent)
            state = StateFile(
                app,
                job.state,
                lambda text: note(one_line(text)),
                seal,
                tuple(app.own_files.values()),
            )
            options = _restored(app, self.workflow, options, state)
        with app.ledger() as ledger:
            report.context = context = prepare(
                self.workflow, options, app, ledger, keeps_text=self.keeps_text
            )
            if state is None:
                return show(context, display)
            _answer(context, job)
            return _show_published(context, display, state)

    def _check(self, options: RunOptions) -> None:
        """Raise UsageError where the state could not be kept, before anything is done."""
        if self.keeps_text:
            raise UsageError("--state and --store need a workflow in a file, whose name is known")
        if options.worktree is not None or self.workflow.worktree is not None:
            raise UsageError("--state and --store say where it works: leave out --worktree")

    def _in_store(
        self, options: RunOptions, display: Display, job: Job, store: str, report: Report
    ) -> int:
        """Run it as the shared store has it; its files are a worktree of the checkout then."""
        app, path = self.app, Path(self.workflow.path)
        _, cwd, whole = settle(self.workflow, options, app)
        name, adapter = wanted_name(self.workflow, whole, cwd) or path.stem, whole.adapter or ""
        with (
            open_store(app, store) as opened,
            opened.join(name, adapter, cwd, options.wait, workflow=path) as shared,
            app.ledger() as ledger,
        ):
            info = shared.info
            options = _going_on(options, whole, cwd, name if info is None else info.label)
            if info is not None and shared.is_new and info.cwd:
                options = msgspec.structs.replace(options, cwd=Path(info.cwd))
            report.context = context = prepare(self.workflow, options, app, ledger)
            _answer(context, job)
            try:
                return show(context, display, shared)
            except SdqctlError as error:
                _in_a_job(error, context.target.name)
                if isinstance(error, PausedError):  # while the lease holds
                    note(f"waits for a human: {one_line(error.message)}")
                    error.shown()
                    error.on_shown = None
                    shared.publisher.publish(shared.ref)
                raise


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--state in {folder}: {error.strerror}") from error


def _show_published(context: RunContext, display: Display, state: StateFile) -> int:
    state.ref = state.ref or context.target.ref
    try:
        return show(context, display, state)
    except SdqctlError as error:
        _in_a_job(error, context.target.name)
        if isinstance(error, PausedError):
            error.on_shown = partial(_publish_shown, error.on_shown, state)
        raise


def _restored(app: App, workflow: Workflow, options: RunOptions, state: StateFile) -> RunOptions:
    """The options of the session that the file has, or of a new one that it will have."""
    _, cwd, whole = settle(workflow, options, app)
    wanted = wanted_name(workflow, whole, cwd)
    name = wanted or Path(workflow.path).stem
    restored = state.restore(cwd, Path(workflow.path))
    if restored is not None:
        if wanted is not None and restored.called != wanted:
            raise UsageError(
                f"{state.path} is the state of session {restored.called!r}, not of {wanted!r}",
                hint="give each session a --state FILE of its own",
            )
        name = restored.info.label
        note(f"going on from {state.path}")
    return _going_on(options, whole, cwd, name)


def _going_on(options: RunOptions, whole: RunOptions, cwd: Path, name: str) -> RunOptions:
    """The options of a run that goes on in the session of a name; what was cut off on another
    machine is done anew where the files can be as they were.
    """
    on_interrupted = whole.on_interrupted
    keeps_files = whole.snapshots is not False and find_repository(cwd) is not None
    if on_interrupted is None and keeps_files:
        on_interrupted = OnInterrupted.REWIND
    return msgspec.structs.replace(
        options, session_name=name, resume_if_exists=True, on_interrupted=on_interrupted
    )


def _answer(context: RunContext, job: Job) -> None:
    if job.answer is None:
        return
    if awaits_answer(context):
        answer_gate(context, job.answer, job.comment)
    else:
        note("--answer: the run waits at no ASK; it goes on without")


def _in_a_job(error: SdqctlError, name: str) -> None:
    """Have the hint say how a job goes on: by the same command."""
    way = on_session("resume", name, "--continue")
    hint = error.hint or ""
    hint = hint.replace(f"go on with `{way}`", "the same command goes on where it was")
    hint = hint.replace(f"answer with `{way} --", "give the same command with `--")
    error.hint = hint.replace(f"`{way} --", "the same command with `--") or None


def _publish_shown(shown: Callable[[], None] | None, state: StateFile) -> None:
    """Only what was shown is passed, so that the state has to say so, too."""
    if shown is not None:
        shown()
    state.publish()

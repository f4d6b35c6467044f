"""From a job to a run that is ready to go, within what the worker allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.engine.context import RunContext
from sdqctl.engine.continuation import last_run
from sdqctl.engine.gates import answer_gate
from sdqctl.engine.kept_text import KeptText, kept
from sdqctl.engine.preflight import check, check_destinations
from sdqctl.engine.preparation import decided, settle
from sdqctl.engine.target import choose_known
from sdqctl.errors import PausedError, UsageError, WorkflowError, WorkspaceError
from sdqctl.fleet.jobs import Job, options_of_job
from sdqctl.fs import make_private_folder
from sdqctl.model.modes import exceeds
from sdqctl.model.options import OnInterrupted, RunOptions
from sdqctl.store.calls import tree_of
from sdqctl.store.workflows import kept_file, remove_unused, workflows_folder
from sdqctl.workflow import load_workflow
from sdqctl.workflow.diagnostics import describe_errors
from sdqctl.workflow.parser import parse_workflow
from sdqctl.workspace.history import History
from sdqctl.workspace.own import own_folder
from sdqctl.workspace.repository import find_repository
from sdqctl.workspace.worktrees import make_worktree

if TYPE_CHECKING:
    from sdqctl.engine.setup import Setup
    from sdqctl.fleet.queue import Taken
    from sdqctl.fleet.sharing import Shared
    from sdqctl.model.run import RunRecord
    from sdqctl.model.workflow import Workflow
    from sdqctl.store.ledger import Ledger

_FOLDER = "jobs"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a worker lets runs do: no job gets more."""

    mode: str = "audit"
    allow_tools: tuple[str, ...] = ()
    deny_tools: tuple[str, ...] = ()
    allow_all_tools: bool = False
    sandbox: str | None = None

    def bounded(self, options: RunOptions, workflow: Workflow) -> RunOptions:
        """The options of a job, with the mode that it asks for if this one allows as much."""
        wanted = options.mode or workflow.mode
        mode = self.mode if exceeds(wanted, self.mode) else wanted
        return msgspec.structs.replace(
            options,
            mode=mode,
            allow_tools=self.allow_tools,
            deny_tools=(*options.deny_tools, *self.deny_tools),
            allow_all_tools=self.allow_all_tools,
            sandbox=self.sandbox,
        )


def context_of(
    setup: Setup, ledger: Ledger, job: Job, policy: Policy, shared: Shared, clone: Path | None
) -> RunContext:
    """The run of a job, new or gone on with, whose states are published.

    Raises WorkflowError, UsageError, WorkspaceError, SandboxError.
    """
    run = last_run(shared.info, ledger) if shared.info is not None else None
    workflow, text = _workflow(job, setup.home, run)
    options = policy.bounded(options_of_job(job), workflow)
    if run is not None and run.workflow_path is not None:
        if text is not None and str(text.path) != run.workflow_path:
            remove_unused(setup.home, [str(text.path)], ledger)
        workflow, text = msgspec.structs.replace(workflow, path=run.workflow_path), None
        options = msgspec.structs.replace(options, inputs=())
    elif text is None:
        workflow, text = kept(workflow, setup.home, job.adapter, job.name)
    cwd = _own_folder(setup, run, clone) or _folder(setup, job, shared, clone)
    if clone is not None:
        options = msgspec.structs.replace(options, on_interrupted=OnInterrupted.REWIND)
    name = job.name if shared.info is None else shared.info.label  # of a later conversation
    options = msgspec.structs.replace(options, cwd=cwd, session_name=name, resume_if_exists=True)
    setup, cwd, options = settle(workflow, options, setup)
    context = decided(
        workflow,
        options,
        setup,
        ledger,
        partial(choose_known, workflow.path, job.adapter, name, options, ledger),
        setup.archive(job.adapter).sessions(),
        cwd=cwd,
        text=text,
    )
    check(context)
    check_destinations(context)
    return replace(context, after_step=shared.after_step)


def give_answer(context: RunContext, taken: Taken, answer: str) -> None:
    """Record the answer that a run was put in again with, at the ASK that it is for, unless that
    was done before the run went to this worker.

    Raises PausedError for one that does not fit (any more): the run waits where it waited.
    """
    run, gate = context.target.run, None
    if run is not None:
        gate = tree_of(context.ledger, run).open_gate
        asked = context.ledger.step(run.id, taken.gate) if taken.gate else None
        if asked is not None and asked.answer == context.ledger.redact(answer):
            return
    try:
        if gate is not None and taken.gate and gate.path != taken.gate:
            raise UsageError("the run waits at another ASK by now")
        answer_gate(context, answer, taken.comment)
    except UsageError as error:
        why = f"the answer {answer!r} was not taken: {error.message}"
        said = context.ledger.redact(why if run is None else f"{run.message or run.status}; {why}")
        path = None if gate is None else gate.path
        raise PausedError(said, path=path, asks=gate is not None) from error


def _own_folder(setup: Setup, run: RunRecord | None, clone: Path | None) -> Path | None:
    """Where a run worked before, if that is here, and of its own where there is a clone."""
    if run is None or run.cwd is None or not Path(run.cwd).is_dir():
        return None
    cwd = Path(run.cwd)
    return cwd if clone is None or own_folder(setup.home, cwd) is not None else None


def _workflow(job: Job, home: Path, run: RunRecord | None) -> tuple[Workflow, KeptText | None]:
    """The workflow of a job; one that calls others is read from its place, where they are, too."""
    file, text = Path(job.file).name or "workflow.conv", None
    if job.called:
        whole = "\0".join([job.text, *chain(*sorted(job.called.items()))])
        path = kept_file(home, file, job.adapter, job.name, whole)
        if run is not None and run.workflow_path is not None:
            own = Path(run.workflow_path)
            path = own if own.is_relative_to(workflows_folder(home)) else path
        text = KeptText(home, path, job.text, job.called)
        text.write()
    parsed = parse_workflow(job.text, file) if text is None else load_workflow(text.path)
    if parsed.workflow is None:
        raise WorkflowError(describe_errors(parsed.diagnostics))
    return parsed.workflow, text


def _folder(setup: Setup, job: Job, shared: Shared, clone: Path | None) -> Path:
    """Where a new run works: a worktree of the commit that it starts from, or an empty folder."""
    if clone is None or job.origin is None:
        folder = setup.home / _FOLDER / shared.ref.id
        make_private_folder(folder)
        return folder
    repository = find_repository(clone)
    if repository is None:
        raise WorkspaceError(f"{clone} is no git repository")
    start = History(repository.common).snapshot(job.origin.base)
    top, name = repository.top, job.name
    made = make_worktree(setup.home, top, shared.ref, name, start=start, numbered=True)
    inside = (made.worktree.tree / job.origin.inside).resolve()
    is_there = inside.is_dir() and inside.is_relative_to(made.worktree.tree.resolve())
    return inside if is_there else made.worktree.tree

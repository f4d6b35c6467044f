"""What `apply`, and `run` with several workflows, do. Knows no click."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.cli.output import note
from sdqctl.cli.runs.batch_report import Item, Progress, print_summary, raise_failures
from sdqctl.cli.runs.components import (
    default_name,
    find_components,
    refuse_same_names,
    values_of,
)
from sdqctl.cli.runs.launch import question_of, read_workflow, run_prompts, run_workflow
from sdqctl.cli.runs.manner import Manner
from sdqctl.cli.runs.repository import note_repository
from sdqctl.cli.signals import interruptible
from sdqctl.engine.batch import run_batch
from sdqctl.engine.component import component_of
from sdqctl.engine.destinations import LOG, refuse_conflicts
from sdqctl.engine.documents import named_outputs, write_document
from sdqctl.engine.execution import launch
from sdqctl.engine.matching import is_whole
from sdqctl.engine.pool import RuntimePool
from sdqctl.engine.preflight import check, check_destinations
from sdqctl.engine.preparation import decide, decided, settle
from sdqctl.engine.session_names import given_name
from sdqctl.engine.target import choose_known
from sdqctl.engine.variables import base_variables
from sdqctl.errors import PausedError, SessionExistsError, UsageError
from sdqctl.model.run import BatchOutcome
from sdqctl.model.session import by_key, folded
from sdqctl.sandbox.nets import Nets
from sdqctl.text.suggest import nearest
from sdqctl.text.terminal import one_line
from sdqctl.workflow.checks import FileChecks
from sdqctl.workflow.render import render_text

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.components import Component
    from sdqctl.engine.context import RunContext
    from sdqctl.model.options import RunOptions
    from sdqctl.model.run import RunRecord
    from sdqctl.model.sandbox import Sandbox
    from sdqctl.model.workflow import Workflow
    from sdqctl.store.ledger import Ledger

__all__ = ["ApplyRequest", "Manner", "apply_workflow", "run_workflows"]


@dataclass(frozen=True, kw_only=True)
class ApplyRequest:
    """What `apply` was asked for; `options` are those of each run."""

    path: Path
    options: RunOptions
    components: tuple[str, ...]
    output_dir: Path | None = None
    only: tuple[str, ...] = ()


def apply_workflow(app: App, request: ApplyRequest, manner: Manner) -> int:
    """Run a workflow for each component; returns 0, or raises when one failed.

    What was done earlier is not done again. Raises UsageError and WorkflowError before anything
    starts.
    """
    _begin_job(app, request.options, manner, [request.path])
    _check_flags(request.options, manner, output="--output-dir")
    workflow = read_workflow(request.path, manner.display)
    setup, cwd, options = settle(workflow, request.options, app)
    components = find_components(request.components, cwd)
    names = [_name(request, workflow, cwd, component) for component in components]
    refuse_same_names(names)
    question = question_of(manner.display)
    with app.ledger() as ledger:
        adapter = options.adapter or setup.settings.adapter
        known = by_key(setup.archive(adapter).sessions())
        items = []
        for component, name in zip(components, names, strict=True):
            own = _component_options(request, workflow, options, cwd, component)
            context = decided(
                workflow,
                own,
                setup,
                ledger,
                partial(choose_known, workflow.path, adapter, name, own, ledger),
                [known[folded(name)]] if folded(name) in known else [],
                cwd=cwd,
                question=question,
            )
            alone = f"`--only {shlex.quote(component.path)}"
            items.append(Item(component.path, context, alone))
        items = _only(items, request.only)
        if manner.queue is not None:
            from sdqctl.cli.runs.enqueueing import enqueue_items

            return enqueue_items(app, items, manner)
        if manner.max_tokens is not None or manner.max_cost is not None:
            raise UsageError(
                "--batch-max-tokens and --batch-max-cost are of a batch in a queue",
                hint="give --queue; --max-tokens and --max-cost bound each run",
            )
        return _run_items(app, items, manner, request.path.stem)


def _only(items: list[Item], wanted: tuple[str, ...]) -> list[Item]:
    """The components that --only names, or all. Raises UsageError for one that is not there."""
    known = [item.label for item in items]
    for name in wanted:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else None
            raise UsageError(f"--only {name}: there is no such component", hint=hint)
    return [item for item in items if not wanted or item.label in wanted]


def run_workflows(
    app: App,
    paths: Sequence[Path],
    options: RunOptions,
    manner: Manner,
    *,
    prompts: Sequence[str] = (),
) -> int:
    """Run a workflow, or prompts that were typed; several workflows each in its session, in one
    runtime. Returns the exit code.
    """
    _begin_job(app, options, manner, paths)
    if manner.queue is not None:
        return _enqueue_workflows(app, paths, options, manner, prompts)
    if manner.job.wanted and len(paths) < 2 and not manner.display.dry_run:
        from sdqctl.cli.ci.job import run_job

        target = paths[0] if paths else prompts
        return run_job(app, target, options, manner.display, manner.job)
    if prompts:
        return run_prompts(app, prompts, options, manner.display)
    if len(paths) == 1:
        return run_workflow(app, paths[0], options, manner.display)
    return _run_together(app, paths, options, manner)


def _run_together(app: App, paths: Sequence[Path], options: RunOptions, manner: Manner) -> int:
    _check_flags(options, manner, output="OUTPUT-FILE in each workflow")
    if options.session_name is not None:
        raise UsageError("--session-name is for one workflow; write SESSION-NAME into the files")
    if manner.job.is_kept:
        raise UsageError("--state and --store are for one workflow; give the command for each")
    if manner.display.detach:
        raise UsageError("--detach is for one workflow; give the command once for each")
    question = question_of(manner.display)
    with app.ledger() as ledger:
        items = []
        for path in paths:
            workflow = read_workflow(path, manner.display)
            context = decide(
                workflow, options, app, ledger, question=question, dry_run=manner.display.dry_run
            )
            way_on = f"`sdqctl resume {shlex.quote(context.target.name)} --continue"
            items.append(Item(str(path), context, way_on))
        refuse_same_names(
            [
                item.context.target.name
                for item in items
                if not manner.display.dry_run or item.context.plan.workflow.session_name is not None
            ]
        )
        return _run_items(app, items, manner, "run")


def _begin_job(app: App, options: RunOptions, manner: Manner, workflows: Sequence[Path]) -> None:
    """Begin the log of a job, where one is wanted. Raises UsageError."""
    if manner.job.wanted:
        from sdqctl.cli.ci.job import begin_job

        queued = manner.queue is not None
        begin_job(app, manner.job, options, manner.display, workflows, queued=queued)


def _enqueue_workflows(
    app: App,
    paths: Sequence[Path],
    options: RunOptions,
    manner: Manner,
    prompts: Sequence[str],
) -> int:
    from sdqctl.cli.runs.enqueueing import check_named, enqueue_items
    from sdqctl.workflow import prompts_workflow

    workflows = [read_workflow(path, manner.display, folder=app.directory) for path in paths]
    if prompts:
        workflows = [prompts_workflow(prompts, app.directory)]
    with app.ledger() as ledger:
        items, taken = [], {}
        for workflow in workflows:
            check_named(workflow, options)
            context, error = _for_queue(app, workflow, options, ledger)
            items.append(Item(context.target.name, context, ""))
            if error is not None:
                taken[context.target.name] = error
        refuse_same_names([item.label for item in items])
        return enqueue_items(app, items, manner, taken)


def _for_queue(
    app: App, workflow: Workflow, options: RunOptions, ledger: Ledger
) -> tuple[RunContext, SessionExistsError | None]:
    """A run that is to go into a queue, and why its name is taken here, which does not matter where
    the queue has it.
    """
    try:
        return decide(workflow, options, app, ledger, dry_run=True), None
    except SessionExistsError as error:
        options = msgspec.structs.replace(options, resume_if_exists=True)
        return decide(workflow, options, app, ledger, dry_run=True), error


def _check_flags(options: RunOptions, manner: Manner, *, output: str) -> None:
    """Raise UsageError for options that make sense for one run alone."""
    if options.output_file is not None:
        raise UsageError("--output would be written by each run", hint=f"use {output}")
    if manner.display.output_format == "jsonl":
        raise UsageError("--format jsonl is for one run", hint="--format json has a list of all")
    if manner.display.ask and manner.parallel > 1:
        raise UsageError("--ask is for one run at a time", hint="leave out --parallel")


def _name(request: ApplyRequest, workflow: Workflow, cwd: Path, component: Component) -> str:
    """--session-name or SESSION-NAME as a template, else workflow and path."""
    template = request.options.session_name or workflow.session_name
    if template is None:
        return default_name(request.path.stem, component)
    variables = {**base_variables(workflow, cwd, ""), **component.variables}
    return given_name(render_text(template, variables))


def _component_options(
    request: ApplyRequest,
    workflow: Workflow,
    options: RunOptions,
    cwd: Path,
    component: Component,
) -> RunOptions:
    """Raises UsageError for values that the workflow does not take."""
    options = msgspec.structs.replace(options, component=component_of(component.variables, cwd))
    if component.values:
        own = values_of(component, workflow, options)
        options = msgspec.structs.replace(options, inputs=own)
    if request.output_dir is None:
        return options
    file = (request.output_dir / component.path.replace("/", "__")).absolute()
    return msgspec.structs.replace(options, output_file=Path(f"{file}.md"))


def _run_items(app: App, items: list[Item], manner: Manner, title: str) -> int:
    display = manner.display
    for item in items:
        note_repository(item.context.setup, quiet=display.quiet)
    progress = Progress(len(items), display)
    waiting = [item for item in items if item.context.start_at is not None or not _is_done(item)]
    for item in items:
        if item not in waiting:
            item.outcome = BatchOutcome.SKIPPED
    _refuse_conflicts(app, items)
    checks = FileChecks()
    for item in waiting:
        check(item.context, checks)
    progress.begin(len(items) - len(waiting))
    if display.dry_run:
        print_summary(items, display.output_format)
        return 0
    _write_missing([item for item in items if item.outcome is BatchOutcome.SKIPPED])
    try:
        with progress:
            interruptible(_drive(app, waiting, manner, progress))
    finally:
        progress.end(items)
        print_summary(items, display.output_format)
        if manner.job.wanted:
            from sdqctl.cli.ci.reports import report_batch

            report_batch(title, items, manner.job)
        for item in items:
            if isinstance(item.error, PausedError):
                item.error.shown()
    raise_failures(items)
    return 0


def _refuse_conflicts(app: App, items: Sequence[Item]) -> None:
    """Raise OutputConflictError where two runs would write their answers to one file; to the file
    of EVENT-LOG each adds.
    """
    named = ((item, name, path) for item in items for name, path in named_outputs(item.context))
    answers = [(f"{name} of {one_line(i.label)}", path) for i, name, path in named if name != LOG]
    refuse_conflicts([*app.own_files.items(), *answers])


async def _drive(app: App, items: list[Item], manner: Manner, progress: Progress) -> None:
    shared: dict[str, RuntimePool] = {}
    async with AsyncExitStack() as stack:
        nets = stack.enter_context(Nets())
        for name in {_adapter(item.context) for item in items}:
            runtime = RuntimePool(_maker(app, name))
            shared[name] = await stack.enter_async_context(runtime)

        async def work(item: Item) -> RunRecord:
            emit = progress.started(item)
            check_destinations(item.context)
            return await launch(
                item.context,
                emit=emit,
                runtime=shared[_adapter(item.context)],
                nets=nets,
            )

        await run_batch(
            items,
            work,
            progress.ended,
            parallel=manner.parallel,
            stops=lambda error: not manner.keep_going and not isinstance(error, PausedError),
        )


def _adapter(context: RunContext) -> str:
    return context.target.ref.adapter


def _write_missing(items: list[Item]) -> None:
    """Write the documents of --output-dir that are not there (any more) from what is recorded.

    Raises StoreError.
    """
    for item in items:
        file, run = item.context.options.output_file, item.context.target.run
        if file is not None and run is not None and not file.exists():
            write_document(item.context, item.context.ledger.steps(run.id))
            note(f"{one_line(item.label)}: answers written to {file}")


def _maker(app: App, name: str) -> Callable[[Sandbox], Adapter]:
    return lambda sandbox: app.adapter(name, sandbox)


def _is_done(item: Item) -> bool:
    """Whether an earlier run of the same workflow did every step, and wrote its document."""
    plan, run = item.context.plan, item.context.target.run
    if run is None or run.status.unfinished:
        return False
    return is_whole(plan, item.context.ledger.steps(run.id))

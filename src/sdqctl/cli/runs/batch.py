"""What `apply`, and `run` with several workflows, do. Knows no click."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.cli.output import note
from sdqctl.cli.runs.batch_report import Item, Progress, print_summary, raise_failures
from sdqctl.cli.runs.components import default_name, find_components, refuse_same_names
from sdqctl.cli.runs.launch import (
    RunRequest,
    Start,
    launch_request,
    new_options,
    plan_of,
    step_position,
    target_of,
    terminal_question,
    working_directory,
)
from sdqctl.cli.runs.preflight import check_start, read_workflow
from sdqctl.cli.runs.repository import note_repository
from sdqctl.cli.runs.session_names import given_name, session_name
from sdqctl.cli.runs.variables import base_variables
from sdqctl.cli.signals import interruptible
from sdqctl.engine.batch import run_batch
from sdqctl.errors import PausedError, UsageError
from sdqctl.model.run import BatchOutcome
from sdqctl.text.suggest import nearest
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.components import Component
    from sdqctl.cli.runs.options import RunFlags
    from sdqctl.engine.launch import Target
    from sdqctl.engine.pool import SharedRuntime
    from sdqctl.model.run import RunRecord
    from sdqctl.model.sandbox import Sandbox
    from sdqctl.model.session import SessionInfo
    from sdqctl.model.workflow import Workflow
    from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class ApplyRequest:
    """What `apply` was asked for; `run` has the options that it shares with `run`."""

    run: RunRequest
    components: str
    parallel: int = 1
    output_dir: Path | None = None
    keep_going: bool = False
    only: tuple[str, ...] = ()


def apply_workflow(app: App, request: ApplyRequest) -> int:
    """Run a workflow for each component; returns 0, or raises when one failed.

    What was done earlier is not done again. Raises UsageError and WorkflowError before anything
    starts.
    """
    _check_flags(request.run.flags, request.parallel, output="--output-dir")
    run = request.run
    workflow = read_workflow(run.path, adapter=run.adapter, quiet=run.flags.quiet)
    cwd = working_directory(app, request.run.flags.cwd, workflow)
    app = app.working_in(cwd)
    components = find_components(request.components, cwd)
    names = [_name(request, workflow, cwd, component) for component in components]
    refuse_same_names(names)
    with app.ledger() as ledger:
        adapter = request.run.adapter or workflow.adapter or app.settings.adapter
        known = list(app.archive(adapter).sessions())
        items = []
        for component, name in zip(components, names, strict=True):
            choose = partial(_known_target, workflow, adapter, name, ledger)
            begin = _start(app, request.run, workflow, choose(known), cwd, ledger)
            begin = replace(begin, choose=choose)
            items.append(_component_item(request, component, begin))
        items = _only(items, request.only)
        return _run_items(app, items, request.parallel, request.keep_going, request.run)


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
    app: App, paths: Sequence[Path], request: RunRequest, parallel: int, keep_going: bool
) -> int:
    """Run several workflows, each in its session, in one runtime."""
    _check_flags(request.flags, parallel, output="OUTPUT-FILE in each workflow")
    if request.session_name is not None:
        raise UsageError("--session-name is for one workflow; write SESSION-NAME into the files")
    with app.ledger() as ledger:
        items = []
        for path in paths:
            own = replace(request, path=path)
            quiet = request.flags.quiet
            workflow = read_workflow(path, adapter=request.adapter, quiet=quiet)
            cwd = working_directory(app, request.flags.cwd, workflow)
            here = app.working_in(cwd)
            adapter = request.adapter or workflow.adapter or here.settings.adapter
            name = session_name(here, own, workflow, base_variables(workflow, cwd, ""), adapter)
            choose = partial(target_of, here, own, workflow, adapter, name, ledger)
            target = choose(here.archive(adapter).sessions())
            begin = replace(_start(here, own, workflow, target, cwd, ledger), choose=choose)
            way_on = f"`sdqctl resume {shlex.quote(target.name)} --continue"
            items.append(Item(str(path), begin, plan_of(begin), way_on))
        refuse_same_names([item.begin.target.name for item in items])
        return _run_items(app, items, parallel, keep_going, request)


def _check_flags(flags: RunFlags, parallel: int, *, output: str) -> None:
    """Raise UsageError for options that make sense for one run alone."""
    if flags.output is not None:
        raise UsageError("--output would be written by each run", hint=f"use {output}")
    if flags.output_format == "jsonl":
        raise UsageError("--format jsonl is for one run", hint="--format json has a list of all")
    if flags.ask and parallel > 1:
        raise UsageError("--ask is for one run at a time", hint="leave out --parallel")


def _name(request: ApplyRequest, workflow: Workflow, cwd: Path, component: Component) -> str:
    """--session-name or SESSION-NAME as a template, else workflow and path."""
    from sdqctl.workflow.render import render_text

    template = request.run.session_name or workflow.session_name
    if template is None:
        return default_name(request.run.path.stem, component)
    variables = {**base_variables(workflow, cwd, ""), **component.variables}
    name = render_text(template, variables)
    return given_name(name)


def _component_item(request: ApplyRequest, component: Component, begin: Start) -> Item:
    options = begin.options
    if request.output_dir is not None:
        file = (request.output_dir / component.path.replace("/", "__")).absolute()
        options = msgspec.structs.replace(options, output_file=f"{file}.md")
    begin = replace(begin, variables=component.variables, options=options)
    alone = f"`--only {shlex.quote(component.path)}"
    return Item(component.path, begin, plan_of(begin), alone)


def _known_target(
    workflow: Workflow, adapter: str, name: str, ledger: Ledger, known: Sequence[SessionInfo]
) -> Target:
    """The session of a component, with its last run of this workflow, finished or not."""
    from sdqctl.engine.launch import choose_target

    target = choose_target(
        name,
        adapter,
        entries=known,
        ledger=ledger,
        workflow_path=workflow.path,
        resume_if_exists=True,
    )
    runs = [run for run in ledger.runs_of(target.ref) if run.workflow_path == workflow.path]
    return replace(target, run=runs[-1] if runs else None)


def _start(
    app: App, request: RunRequest, workflow: Workflow, target: Target, cwd: Path, ledger: Ledger
) -> Start:
    return Start(
        workflow=workflow,
        target=target,
        options=new_options(app, request),
        cwd=cwd,
        ledger=ledger,
        flags=request.flags,
        model=request.flags.model or workflow.model or app.settings.model,
        question=terminal_question() if request.flags.ask else None,
    )


def _run_items(
    app: App, items: list[Item], parallel: int, keep_going: bool, request: RunRequest
) -> int:
    for item in items:
        note_repository(app.working_in(item.begin.cwd), quiet=request.flags.quiet)
    from sdqctl.workflow.checks import FileChecks

    progress = Progress(len(items), request.flags)
    for item in items:
        item.start_at = step_position(item.plan, request.flags.from_step)
    waiting = [item for item in items if item.start_at is not None or not _is_done(item)]
    for item in items:
        if item not in waiting:
            item.outcome = BatchOutcome.SKIPPED
    checks = FileChecks()
    for item in waiting:
        check_start(app.working_in(item.begin.cwd), item.begin, item.plan, item.start_at, checks)
    progress.begin(len(items) - len(waiting))
    if request.flags.dry_run:
        print_summary(items, request.flags.output_format)
        return 0
    _write_missing([item for item in items if item.outcome is BatchOutcome.SKIPPED])
    try:
        interruptible(_drive(app, waiting, parallel, keep_going, progress))
    finally:
        progress.end()
        print_summary(items, request.flags.output_format)
        for item in items:
            if isinstance(item.error, PausedError):
                item.error.shown()
    raise_failures(items)
    return 0


async def _drive(
    app: App, items: list[Item], parallel: int, keep_going: bool, progress: Progress
) -> None:
    from contextlib import AsyncExitStack

    from sdqctl.cli.runs.documents import write_document
    from sdqctl.engine.launch import launch
    from sdqctl.engine.pool import SharedRuntime
    from sdqctl.sandbox.nets import Nets

    shared: dict[str, SharedRuntime] = {}
    async with AsyncExitStack() as stack:
        nets = stack.enter_context(Nets())
        for name in {item.begin.target.ref.adapter for item in items}:
            runtime = SharedRuntime(_maker(app, name))
            shared[name] = await stack.enter_async_context(runtime)

        async def work(item: Item) -> RunRecord:
            item.started = time.monotonic()
            progress.started(item)
            lease = shared[item.begin.target.ref.adapter].lease
            begin = replace(item.begin, make_adapter=lease, nets=nets)
            sink = progress.sink(item)
            request = launch_request(app, begin, item.plan, sink, start_at=item.start_at)
            return await launch(replace(request, deliver=partial(write_document, begin)))

        await run_batch(
            items,
            work,
            progress.ended,
            parallel=parallel,
            stops=lambda error: not keep_going and not isinstance(error, PausedError),
        )


def _write_missing(items: list[Item]) -> None:
    """Write the documents of --output-dir that are not there (any more) from what is recorded.

    Raises StoreError.
    """
    from sdqctl.cli.runs.documents import write_document

    for item in items:
        file, run = item.begin.options.output_file, item.begin.target.run
        if file is not None and run is not None and not Path(file).exists():
            write_document(item.begin, item.begin.ledger.steps(run.id))
            note(f"{one_line(item.label)}: answers written to {file}")


def _maker(app: App, name: str) -> Callable[[Sandbox], Adapter]:
    return lambda sandbox: app.adapter(name, sandbox)


def _is_done(item: Item) -> bool:
    """Whether an earlier run of the same workflow did every step, and wrote its document."""
    from sdqctl.engine.matching import match_plan

    run = item.begin.target.run
    if run is None or run.status.unfinished:
        return False
    return len(match_plan(item.plan, item.begin.ledger.steps(run.id)).done) == len(item.plan.steps)

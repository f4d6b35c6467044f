"""From a command's options to a running workflow and its result. Knows no click."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.cli.options import read_text_argument
from sdqctl.cli.runs.documents import destinations
from sdqctl.cli.runs.options import RunFlags
from sdqctl.cli.runs.preflight import check_mode, check_start, read_workflow
from sdqctl.cli.runs.report import Report, print_plan
from sdqctl.cli.runs.repository import is_unchanged, note_repository
from sdqctl.cli.runs.session_names import session_name
from sdqctl.cli.runs.stdin import kept_text
from sdqctl.cli.runs.variables import base_variables, cycle_variables, run_variables
from sdqctl.cli.signals import interruptible
from sdqctl.errors import SdqctlError, UsageError, WorkflowError

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter
    from sdqctl.cli.context import App
    from sdqctl.engine.launch import Launch, Target
    from sdqctl.engine.options import RunOptions
    from sdqctl.model.events import Event
    from sdqctl.model.sandbox import Sandbox
    from sdqctl.model.session import SessionInfo
    from sdqctl.model.workflow import Plan, Workflow
    from sdqctl.policy.ask import Question
    from sdqctl.sandbox.nets import Nets
    from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What `run` was asked for."""

    path: Path
    flags: RunFlags
    session_name: str | None = None
    resume_if_exists: bool | None = None
    adapter: str | None = None
    cycles: int | None = None
    session_mode: str | None = None
    prologues: tuple[str, ...] = ()
    epilogues: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Start:
    """A workflow with all that is decided about its run before anything is started."""

    workflow: Workflow
    target: Target
    options: RunOptions
    cwd: Path
    ledger: Ledger
    flags: RunFlags
    model: str | None = None
    literal: bool = False
    """Whether the prompts hold no template variables: they were typed, not written in a file."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Template variables more than those of every run."""
    make_adapter: Callable[[Sandbox], Adapter] | None = None
    """Makes the adapter, when it is shared with other runs."""
    nets: Nets | None = None
    """Keeps the nets, when other runs have the same."""
    choose: Callable[[Sequence[SessionInfo]], Target] | None = None
    """Chooses the target again under the session's lock (see `Launch`)."""
    question: Question | None = None
    """Asks a human about tools that the policy would refuse."""


def run_workflow(app: App, request: RunRequest) -> int:
    """Run a workflow file and print its result; returns the exit code.

    Raises what `engine.launch.launch` raises, WorkflowError and UsageError before anything starts.
    """
    flags = request.flags
    workflow = read_workflow(
        request.path, adapter=request.adapter, quiet=flags.quiet, folder=app.directory
    )
    cwd = working_directory(app, request.flags.cwd, workflow)
    app = app.working_in(cwd)
    adapter = request.adapter or workflow.adapter or app.settings.adapter
    options = new_options(app, request)
    name = session_name(app, request, workflow, base_variables(workflow, cwd, ""), adapter)
    with app.ledger() as ledger, kept_text(app, request, workflow, adapter, name, ledger) as kept:
        workflow = kept.workflow

        def choose(entries: Iterable[SessionInfo]) -> Target:
            kept.write()
            return target_of(app, request, workflow, adapter, name, ledger, entries)

        begin = Start(
            workflow=workflow,
            target=choose(app.archive(adapter).sessions()),
            choose=choose,
            options=options,
            cwd=cwd,
            ledger=ledger,
            flags=request.flags,
            model=request.flags.model or workflow.model or app.settings.model,
        )
        return start(app, begin)


def start(app: App, begin: Start) -> int:
    """Show the plan, or run it and print the result; returns 0, or raises the run's error."""
    plan = plan_of(begin)
    start_at = step_position(plan, begin.flags.from_step)
    note_repository(app.working_in(begin.cwd), quiet=begin.flags.quiet)
    if begin.flags.ask and begin.question is None:
        begin = replace(begin, question=terminal_question())
    if begin.flags.dry_run:
        check_start(app, begin, plan, start_at)
        print_plan(plan, begin.ledger, begin.target, begin.flags.output_format, start_at)
        return 0
    interruptible(_execute(app, begin, plan, start_at))
    return 0


def terminal_question() -> Question:
    """Asking at the terminal. Raises UsageError where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--ask needs a terminal", hint="--allow-tool allows a tool beforehand")
    from sdqctl.cli.chat.reading import ask_permission

    return ask_permission


async def execute(app: App, begin: Start) -> None:
    """Run, showing it as a run is shown. Raises the run's error."""
    plan = plan_of(begin)
    await _execute(app, begin, plan, step_position(plan, begin.flags.from_step))


async def _execute(app: App, begin: Start, plan: Plan, start_at: int | None) -> None:
    from sdqctl.engine.launch import launch
    from sdqctl.sandbox.nets import Nets

    with Nets() as nets, Report(begin, plan) as report:
        begin = replace(begin, nets=begin.nets or nets)
        report.begin()
        request = launch_request(app, begin, plan, report.emit, start_at=start_at)
        request = replace(request, deliver=report.deliver)
        try:
            run = await launch(request)
        except SdqctlError as error:
            report.fail(error)
            raise
        report.finish(run)


def plan_of(begin: Start) -> Plan:
    """The plan of a run. Raises WorkflowError."""
    from sdqctl.workflow.plan import PlanOptions, build_plan

    options = begin.options
    return build_plan(
        begin.workflow,
        PlanOptions(
            cycles=options.cycles,
            session_mode=options.session_mode,
            prologues=options.prologues,
            epilogues=options.epilogues,
        ),
    )


def working_directory(app: App, flag: Path | None, workflow: Workflow) -> Path:
    """Where the agent works: --cwd, else CWD (from the workflow's folder), else here.

    Raises UsageError or WorkflowError when it is no folder.
    """
    if flag is not None:
        if not flag.is_dir():
            raise UsageError(f"--cwd {flag}: there is no such folder")
        return flag.resolve()
    if workflow.cwd is None:
        return app.directory
    folder = (Path(workflow.path).parent / Path(workflow.cwd).expanduser()).resolve()
    if not folder.is_dir():
        raise WorkflowError(f"{workflow.path}: CWD {workflow.cwd}: there is no folder {folder}")
    return folder


def with_flags(options: RunOptions, flags: RunFlags) -> RunOptions:
    """The options with the command's flags put over them."""
    from sdqctl.engine.options import OnInterrupted

    check_mode(flags.mode)
    given = {
        "mode": flags.mode,
        "sandbox": flags.sandbox,
        "step_timeout": flags.step_timeout,
        "idle_timeout": flags.idle_timeout,
        "retry_for": flags.retry_for,
        "max_turn_tool_calls": flags.max_turn_tool_calls,
        "max_tokens": flags.max_tokens,
        "max_time": flags.max_time,
        "on_interrupted": OnInterrupted(flags.on_interrupted) if flags.on_interrupted else None,
        "output_file": str(flags.output.absolute()) if flags.output else None,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    return msgspec.structs.replace(
        options,
        allow_tools=(*options.allow_tools, *flags.allow_tools),
        deny_tools=(*options.deny_tools, *flags.deny_tools),
        allow_all_tools=options.allow_all_tools or flags.allow_all_tools,
        **changes,
    )


def renewed(options: RunOptions, now: RunOptions) -> RunOptions:
    """The options of an earlier run, with what the configuration says by now about safety.

    Denials that have come since add up; what a repository allowed holds as long as its trust.
    """
    allowed = [*options.allow_tools]
    for rule in {*options.repository_tools} & {*allowed}:
        allowed.remove(rule)
    return msgspec.structs.replace(
        options,
        allow_tools=(*allowed, *now.repository_tools),
        repository_tools=now.repository_tools,
        deny_tools=tuple(dict.fromkeys((*options.deny_tools, *now.deny_tools))),
    )


def step_position(plan: Plan, wanted: str | None) -> int | None:
    """The position that --from names: a number, or a checkpoint's name. Raises UsageError.

    One more than there are steps is after all of them.
    """
    from sdqctl.model.workflow import CheckpointStep

    if wanted is None:
        return None
    names = {s.action.name: s.position for s in plan.steps if isinstance(s.action, CheckpointStep)}
    position = int(wanted) if wanted.isdecimal() else names.get(wanted)
    if position is None or not 1 <= position <= len(plan.steps) + 1:
        known = f"; checkpoints: {', '.join(names)}" if names else ""
        raise UsageError(f"--from {wanted}: the plan has steps 1 to {len(plan.steps)}{known}")
    return position


def default_options(app: App) -> RunOptions:
    """The options that the configuration gives every run."""
    from sdqctl.engine.options import RunOptions

    settings = app.settings
    return RunOptions(
        step_timeout=settings.step_timeout,
        idle_timeout=settings.idle_timeout,
        retry_for=settings.retry_for,
        max_turn_tool_calls=settings.max_turn_tool_calls,
        max_tokens=settings.max_tokens,
        max_time=settings.max_time,
        allow_tools=settings.allow_tools,
        repository_tools=settings.allow_tools if "allow_tools" in settings.from_project else (),
        deny_tools=settings.deny_tools,
    )


def new_options(app: App, request: RunRequest) -> RunOptions:
    """The options of a new run: configuration, then the command's own."""
    from sdqctl.model.workflow import SessionMode

    options = msgspec.structs.replace(
        default_options(app),
        cycles=request.cycles,
        session_mode=SessionMode(request.session_mode) if request.session_mode else None,
        prologues=tuple(map(read_text_argument, request.prologues)),
        epilogues=tuple(map(read_text_argument, request.epilogues)),
    )
    options = with_flags(options, request.flags)
    _refuse_secrets(app, options)
    return options


def _refuse_secrets(app: App, options: RunOptions) -> None:
    """Raise UsageError for a secret in an option: the ledger would keep the option without it."""
    from sdqctl.engine.options import encode_options
    from sdqctl.store.redact import Redactor

    text = encode_options(options)
    if Redactor(app.environment)(text) != text:
        raise UsageError(
            "an option of this run (such as --prologue) holds what looks like a secret; it is not "
            "kept, so that the run could not be resumed",
            hint="write it in the workflow, or in a file that the workflow names",
        )


def target_of(
    app: App,
    request: RunRequest,
    workflow: Workflow,
    adapter: str,
    name: str,
    ledger: Ledger,
    entries: Iterable[SessionInfo],
) -> Target:
    """The session among `entries` that a run goes to, or a new one.

    Raises SessionExistsError for a name that is taken.
    """
    from sdqctl.engine.launch import choose_target

    wanted = request.resume_if_exists
    if wanted is None:
        wanted = workflow.resume_if_exists
    return choose_target(
        name,
        adapter,
        entries=entries,
        ledger=ledger,
        workflow_path=workflow.path,
        resume_if_exists=app.settings.resume_if_exists if wanted is None else wanted,
    )


def launch_request(
    app: App,
    begin: Start,
    plan: Plan,
    emit: Callable[[Event], None],
    *,
    start_at: int | None = None,
) -> Launch:
    """What the engine needs for a run. Raises WorkflowError for a REQUIRE that is not met and for a
    file that may not be written, SandboxError for a net that cannot be had.
    """
    from sdqctl.cli.runs.confinement import adapter_config, nets_of
    from sdqctl.engine.launch import Launch
    from sdqctl.workflow.render import Roots

    check_start(app, begin, plan, start_at)
    workflow, cwd = begin.workflow, begin.cwd
    app = app.working_in(cwd)
    adapter = begin.target.ref.adapter
    roots = Roots.of(workflow, cwd)
    if not begin.literal:
        destinations(begin).check(run_variables(begin), output=begin.options.output_file is None)
    variables = {} if begin.literal else run_variables(begin)
    pair = nets_of(app, begin)
    make_adapter = begin.make_adapter or (lambda sandbox: app.adapter(adapter, sandbox))
    return Launch(
        target=begin.target,
        plan=plan,
        options=begin.options,
        config=adapter_config(app, begin, pair),
        cwd=cwd,
        home=app.settings.home,
        roots=roots,
        environment=app.command_environment,
        variables=lambda step: cycle_variables(variables, plan, step),
        make_adapter=lambda: make_adapter(pair.runtime),
        nets=pair,
        archive=app.archive(adapter),
        ledger=begin.ledger,
        emit=emit,
        wait=begin.flags.wait,
        start_at=start_at,
        choose=begin.choose,
        repository_is_unchanged=lambda: is_unchanged(app),
    )

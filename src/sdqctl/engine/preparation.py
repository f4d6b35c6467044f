"""From a workflow and options to a run with everything decided, before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from sdqctl.adapters.registry import adapter_names, entry
from sdqctl.config import Settings
from sdqctl.engine.component import of_its_component, refuse_forgotten
from sdqctl.engine.confinement import confinement_of
from sdqctl.engine.context import RunContext
from sdqctl.engine.inputs import inputs_of
from sdqctl.engine.kept_text import KeptText, kept
from sdqctl.engine.options import configured, over
from sdqctl.engine.preflight import (
    check,
    check_destinations,
    refuse_secrets,
    refuse_undecoded,
    step_path,
)
from sdqctl.engine.session_names import free_name, wanted_name
from sdqctl.engine.setup import Setup, working_directory
from sdqctl.engine.target import Choose, choose_target
from sdqctl.errors import WorkflowError
from sdqctl.model.options import RunOptions
from sdqctl.model.session import SessionInfo
from sdqctl.model.workflow import Step, Workflow
from sdqctl.policy.ask import Question
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import holder
from sdqctl.store.redact import refuse_secret_name
from sdqctl.workflow.checks import adapter_finding
from sdqctl.workflow.diagnostics import describe
from sdqctl.workflow.plan import build_plan


def prepare(
    workflow: Workflow,
    options: RunOptions,
    setup: Setup,
    ledger: Ledger,
    *,
    question: Question | None = None,
    keeps_text: bool = False,
    dry_run: bool = False,
) -> RunContext:
    """A run of a workflow in a named session: a new one, or on in the one that has the name.

    `options` go before the workflow, and the workflow before the configuration of the folder that
    the agent works in. `question` asks a human about tools that the policy would refuse.
    `keeps_text`: no file holds the workflow, so that a copy is kept with the run. `dry_run`: the
    run is only shown, and an unnamed one claims no name. Nothing is started or recorded.

    Raises UsageError for options that do not fit, WorkflowError with what the workflow lacks,
    SessionExistsError for a name that is taken, SandboxError for a net that cannot be had.
    """
    context = decide(
        workflow,
        options,
        setup,
        ledger,
        question=question,
        keeps_text=keeps_text,
        dry_run=dry_run,
    )
    check(context)
    check_destinations(context)
    return context


def prepare_first(
    step: Step,
    options: RunOptions,
    setup: Setup,
    ledger: Ledger,
    *,
    question: Question | None = None,
    dry_run: bool = False,
) -> RunContext:
    """The first step of a conversation, such as a prompt, in a session that is made for it. Its
    text holds no template variables; without a name in `options` the session is called after it.

    Raises what `prepare` raises.
    """
    context = decide(
        Workflow(path="", source="", steps=(step,)),
        options,
        setup,
        ledger,
        question=question,
        dry_run=dry_run,
        literal=True,
    )
    check(context)
    return context


def decide(
    workflow: Workflow,
    options: RunOptions,
    setup: Setup,
    ledger: Ledger,
    *,
    question: Question | None = None,
    keeps_text: bool = False,
    dry_run: bool = False,
    literal: bool = False,
) -> RunContext:
    """What `prepare` makes, but unchecked: who prepares many runs checks those that are left."""
    setup, cwd, options = settle(workflow, options, setup)
    adapter = options.adapter or setup.settings.adapter
    archive, home = setup.archive(adapter), setup.settings.home
    name = wanted_name(workflow, options, cwd)
    if name is not None:
        refuse_secret_name(name, setup.environment)
    else:
        name = free_name(workflow, adapter, setup, ledger, claim=not dry_run)
    text: KeptText | None = None
    if keeps_text and not dry_run:
        workflow, text = kept(workflow, home, adapter, name)
    choose = partial(
        choose_target,
        name,
        adapter,
        ledger=ledger,
        workflow_path=workflow.path,
        resume_if_exists=bool(options.resume_if_exists),
        find_holder=partial(holder, home),
    )
    return decided(
        workflow,
        options,
        setup,
        ledger,
        lambda entries: choose(entries=entries),
        archive.sessions(),
        cwd=cwd,
        question=question,
        literal=literal,
        text=text,
    )


def settle(workflow: Workflow, options: RunOptions, setup: Setup) -> tuple[Setup, Path, RunOptions]:
    """The setup of the folder that a new run works in, that folder, and the whole options.

    Raises UsageError and WorkflowError.
    """
    if options.adapter is None and (finding := adapter_finding(workflow, adapter_names())):
        raise WorkflowError(describe(finding))
    cwd = working_directory(setup, options.cwd, workflow)
    setup = setup.working_in(cwd)
    settings = setup.settings
    resumes = next(
        wanted
        for wanted in (
            options.resume_if_exists,
            workflow.resume_if_exists,
            settings.resume_if_exists,
        )
        if wanted is not None
    )
    adapter = options.adapter or workflow.adapter or settings.adapter
    options = msgspec.structs.replace(
        over(options, configured(settings)),
        adapter=adapter,
        model=options.model or workflow.model or _model_for(adapter, settings),
        resume_if_exists=resumes,
    )
    refuse_undecoded(setup, workflow, options, cwd)
    refuse_secrets(setup, options)
    return setup, cwd, options


def _model_for(adapter: str, settings: Settings) -> str | None:
    """The model of runs that name none: by the runtime's own variable, else by the files."""
    variable = entry(adapter).model_variable
    return (settings.environment.get(variable) if variable else None) or settings.model


def decided(
    workflow: Workflow,
    options: RunOptions,
    setup: Setup,
    ledger: Ledger,
    choose: Choose,
    entries: Iterable[SessionInfo],
    *,
    cwd: Path,
    question: Question | None = None,
    literal: bool = False,
    text: KeptText | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> RunContext:
    """The run of a workflow by whole options, in the session that is chosen among `entries`;
    `inputs` are the values of its INPUTs where no option gives them.

    Raises UsageError, WorkflowError, SandboxError, and what `choose` raises.
    """
    refuse_undecoded(setup, workflow, options, cwd)
    plan = build_plan(workflow, options)
    target = choose(entries)
    options = of_its_component(options, target.run)
    refuse_forgotten(plan, options, target.run, ledger)
    if inputs is None:
        inputs = inputs_of(workflow, options, target.run, cwd)
    confinement = confinement_of(
        setup, workflow, options, adapter=target.ref.adapter, cwd=cwd, question=question
    )
    return RunContext(
        setup=setup,
        ledger=ledger,
        plan=plan,
        options=options,
        cwd=cwd,
        target=target,
        choose=choose,
        confinement=confinement,
        start_at=step_path(plan, options.from_step),
        literal=literal,
        text=text,
        question=question,
        inputs=inputs,
    )

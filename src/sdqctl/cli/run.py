"""`sdqctl run`: a workflow, in a named session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.arguments import FILE
from sdqctl.cli.ci.options import job_of, report_options, state_options
from sdqctl.cli.completion import complete_workflow
from sdqctl.cli.options import examples, queue_options, read_text_argument
from sdqctl.cli.runs.options import (
    RunCommand,
    asked_for,
    batch_options,
    detach_option,
    run_options,
    workflow_options,
)
from sdqctl.errors import UsageError

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_HINT = "`sdqctl init` has workflows to start from"


@click.command(
    context_settings={"ignore_unknown_options": False},
    cls=RunCommand,
    epilog=examples(
        "sdqctl run audit.conv --session-name audit-1",
        "sdqctl run -p 'Which inputs reach a shell?' -p 'Write the report.'",
        "sdqctl run fix.conv --mode implement --allow-tool 'shell(npm test)'",
        "generate-workflow | sdqctl run - --format json",
        "sdqctl run nightly.conv --ci --state nightly.state --junit nightly.xml",
    ),
)
@click.argument(
    "targets", metavar="[WORKFLOW]...", nargs=-1, type=FILE, shell_complete=complete_workflow
)
@click.option(
    "-p",
    "--prompt",
    "prompts",
    multiple=True,
    metavar="T|@F|-",
    help="A prompt instead of a WORKFLOW; several in turn.",
)
@click.option("--session-name", metavar="NAME", help="The session's name; default SESSION-NAME.")
@click.option(
    "--resume-if-exists/--no-resume-if-exists",
    default=None,
    help="Go on in the session when the name exists; otherwise that is refused.",
)
@batch_options
@queue_options
@workflow_options
@run_options
@detach_option
@state_options
@report_options
@click.pass_obj
def run(
    app: App,
    /,
    targets: tuple[str, ...],
    prompts: tuple[str, ...],
    parallel: int,
    keep_going: bool,
    queue: str | None,
    tag: str,
    priority: int,
    **flags: object,
) -> int:
    """Run WORKFLOW, a .conv file or - for stdin, in a named session; several, each in its own.
    With -p, run a prompt: `sdqctl run -p "What is this?"`.

    A name that exists is refused (exit 7) unless --resume-if-exists is given. What was done is
    recorded step by step: after a kill, `sdqctl resume NAME --continue` goes on where it was.
    """
    from sdqctl.cli.runs.batch import Manner, run_workflows

    job = job_of(flags)
    if (given := job.store) and "://" not in given:
        job, targets = replace(job, store=""), (given, *targets)
    options, display = asked_for(flags)
    if bool(prompts) == bool(targets):
        raise UsageError("name a WORKFLOW or give a prompt with -p, one of them", hint=_HINT)
    manner = Manner(
        parallel=parallel,
        keep_going=keep_going,
        display=display,
        job=job,
        queue=queue,
        tag=tag,
        priority=priority,
    )
    texts = [*map(read_text_argument, prompts)]
    return run_workflows(app, [*map(Path, targets)], options, manner, prompts=texts)

"""`sdqctl apply`: a workflow for each of many components."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.ci.options import job_of, report_options
from sdqctl.cli.completion import complete_folder, complete_workflow
from sdqctl.cli.options import MOST, AmountType, examples, queue_options
from sdqctl.cli.runs.options import (
    RunCommand,
    asked_for,
    batch_options,
    run_options,
    workflow_options,
)

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(
    cls=RunCommand,
    epilog=examples(
        "sdqctl apply migrate.conv --components 'src/**/*.py' --parallel 4",
        "sdqctl apply review.conv --components @changed.txt --output-dir reviews",
    ),
)
@click.argument("workflow", type=click.Path(path_type=Path), shell_complete=complete_workflow)
@click.option(
    "--components",
    required=True,
    multiple=True,
    metavar="GLOB|@FILE",
    help="Files by a glob in the working directory, or the lines of FILE; of FILE.json a list "
    "(repeatable).",
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    shell_complete=complete_folder,
    help="Write each one's answers to a file here.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Of the components, this one alone (repeatable).",
)
@click.option("--session-name", metavar="TEMPLATE", help="May hold {{COMPONENT_NAME}} and others.")
@click.option(
    "--batch-max-tokens",
    type=click.IntRange(1, MOST**2),
    metavar="N",
    help="Tokens of all together; then none begins any more (with --queue).",
)
@click.option(
    "--batch-max-cost",
    type=AmountType(0, min_open=True),
    metavar="COST",
    help="The same for what the runtime reports as cost.",
)
@batch_options
@queue_options
@workflow_options
@run_options
@report_options
@click.pass_obj
def apply(
    app: App,
    /,
    workflow: Path,
    components: tuple[str, ...],
    output_dir: Path | None,
    only: tuple[str, ...],
    parallel: int,
    keep_going: bool,
    queue: str | None,
    tag: str,
    priority: int,
    batch_max_tokens: int | None,
    batch_max_cost: float | None,
    **flags: object,
) -> int:
    """Run WORKFLOW for each component, each in a session of its own, all in one runtime.

    Run again after a kill or a failure, it does only what is not done.
    """
    from sdqctl.cli.runs.batch import ApplyRequest, Manner, apply_workflow

    job = job_of(flags)
    options, display = asked_for(flags)
    request = ApplyRequest(
        path=workflow,
        options=options,
        components=components,
        output_dir=output_dir,
        only=only,
    )
    manner = Manner(
        parallel=parallel,
        keep_going=keep_going,
        display=display,
        job=job,
        queue=queue,
        tag=tag,
        priority=priority,
        max_tokens=batch_max_tokens,
        max_cost=batch_max_cost,
    )
    return apply_workflow(app, request, manner)

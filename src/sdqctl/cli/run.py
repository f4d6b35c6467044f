"""`sdqctl run`: a workflow, in a named session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdqctl.cli.completion import complete_workflow
from sdqctl.cli.options import examples
from sdqctl.cli.runs.options import (
    RunCommand,
    RunFlags,
    batch_options,
    run_options,
    workflow_options,
)

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(
    context_settings={"ignore_unknown_options": False},
    cls=RunCommand,
    epilog=examples(
        "sdqctl run audit.conv --session-name audit-1",
        "sdqctl run fix.conv --mode implement --allow-tool 'shell(npm test)'",
        "generate-workflow | sdqctl run - --format json",
    ),
)
@click.argument(
    "targets", metavar="WORKFLOW...", nargs=-1, required=True, shell_complete=complete_workflow
)
@click.option("--session-name", metavar="NAME", help="The session's name; default SESSION-NAME.")
@click.option(
    "--resume-if-exists/--no-resume-if-exists",
    default=None,
    help="Go on in the session when the name exists; otherwise that is refused.",
)
@batch_options
@workflow_options
@run_options
@click.pass_obj
def run(
    app: App,
    /,
    targets: tuple[str, ...],
    session_name: str | None,
    resume_if_exists: bool | None,
    parallel: int,
    keep_going: bool,
    adapter: str | None,
    cycles: int | None,
    session_mode: str | None,
    prologues: tuple[str, ...],
    epilogues: tuple[str, ...],
    **flags: Any,  # noqa: ANN401 - the shared options, checked by RunFlags
) -> int:
    """Run WORKFLOW, a .conv file or - for stdin, in a named session; several, each in its own.

    A name that exists is refused (exit 7) unless --resume-if-exists is given. What was done is
    recorded step by step: after a kill, `sdqctl resume NAME --continue` goes on where it was.
    """
    from sdqctl.cli.runs.launch import RunRequest, run_workflow

    request = RunRequest(
        path=Path(targets[0]),
        session_name=session_name,
        resume_if_exists=resume_if_exists,
        adapter=adapter,
        cycles=cycles,
        session_mode=session_mode,
        prologues=prologues,
        epilogues=epilogues,
        flags=RunFlags(**flags),
    )
    if len(targets) > 1:
        from sdqctl.cli.runs.batch import run_workflows

        return run_workflows(app, [*map(Path, targets)], request, parallel, keep_going)
    return run_workflow(app, request)

"""`sdqctl run`: a workflow, in a named session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdqctl.cli.run_options import RunFlags, run_options

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("target", metavar="WORKFLOW")
@click.option("--session-name", metavar="NAME", help="The session's name; default SESSION-NAME.")
@click.option(
    "--resume-if-exists/--no-resume-if-exists",
    default=None,
    help="Go on in the session when the name exists; otherwise that is refused.",
)
@click.option("-a", "--adapter", metavar="ADAPTER", help="The runtime: copilot or mock.")
@click.option("-n", "--cycles", type=click.IntRange(1), metavar="CYCLES", help="How many cycles.")
@click.option(
    "--session-mode",
    type=click.Choice(["accumulate", "compact", "fresh"]),
    help="What happens to the context between cycles.",
)
@click.option("--prologue", "prologues", multiple=True, metavar="T|@F", help="Before each cycle.")
@click.option("--epilogue", "epilogues", multiple=True, metavar="T|@F", help="After each cycle.")
@run_options
@click.pass_obj
def run(
    app: App,
    /,
    target: str,
    session_name: str | None,
    resume_if_exists: bool | None,
    adapter: str | None,
    cycles: int | None,
    session_mode: str | None,
    prologues: tuple[str, ...],
    epilogues: tuple[str, ...],
    **flags: Any,  # noqa: ANN401 - the shared options, checked by RunFlags
) -> int:
    """Run WORKFLOW, a .conv file, in a named session.

    A name that exists is refused (exit 7) unless --resume-if-exists is given. What was done is
    recorded step by step: after a kill, `sdqctl resume NAME --continue` goes on where it was.
    """
    from sdqctl.cli.launching import RunRequest, run_workflow

    request = RunRequest(
        path=Path(target),
        session_name=session_name,
        resume_if_exists=resume_if_exists,
        adapter=adapter,
        cycles=cycles,
        session_mode=session_mode,
        prologues=prologues,
        epilogues=epilogues,
        flags=RunFlags(**flags),
    )
    return run_workflow(app, request)

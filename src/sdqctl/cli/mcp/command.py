"""`sdqctl mcp`: a server of the Model Context Protocol on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_adapter, complete_mode
from sdqctl.cli.options import DURATION, AmountType, examples
from sdqctl.cli.output import write
from sdqctl.errors import RuntimeMissingError
from sdqctl.model.sandbox import SANDBOX_CHOICES

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_SKILL = Path(__file__).with_name("SKILL.md")


@click.command(
    epilog=examples(
        "sdqctl mcp --workflow 'flows/*.conv'",
        "sdqctl mcp --workflow fix.conv --mode implement --max-runs 3 --max-tokens 200000",
        "sdqctl mcp --skill",
    )
)
@click.option(
    "--workflow",
    "workflows",
    multiple=True,
    metavar="GLOB",
    help="Workflows here that may be started, as they are now; default none.",
)
@click.option(
    "--mode",
    default="audit",
    show_default=True,
    metavar="MODE",
    shell_complete=complete_mode,
    help="The most that a run may do; a workflow may ask for less.",
)
@click.option("--allow-tool", "allow_tools", multiple=True, metavar="P", help="Allow a tool.")
@click.option("--deny-tool", "deny_tools", multiple=True, metavar="P", help="Deny a tool.")
@click.option("--sandbox", type=click.Choice(SANDBOX_CHOICES), help="The net around its tools.")
@click.option("-m", "--model", metavar="MODEL", help="The model of runs whose workflow has none.")
@click.option(
    "-a",
    "--adapter",
    metavar="ADAPTER",
    help="The adapter of runs whose workflow has none.",
    shell_complete=complete_adapter,
)
@click.option(
    "--max-runs",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="So many runs may be begun, prompts and answers among them.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Of each run.")
@click.option("--max-cost", type=AmountType(min=0), metavar="AMOUNT", help="Of each run.")
@click.option("--max-time", type=DURATION, metavar="DUR", help="Of each run.")
@click.option(
    "--max-depth",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How deep agents may start agents: 1, those that are started start none.",
)
@click.option("--skill", is_flag=True, help="Print a SKILL.md that says when to use it; no server.")
@click.pass_obj
def mcp(
    app: App,
    /,
    workflows: tuple[str, ...],
    skill: bool,
    max_runs: int,
    max_depth: int,
    max_time: float | None,
    **policy: object,
) -> None:
    """Serve other agents, on stdin and stdout: they find, read and fork sessions, start the
    workflows that you name in the background, wait for them, answer their questions.

    No run gets more than this command line gives.
    """
    if skill:
        write(_SKILL.read_text("utf-8"))
        return
    try:
        from sdqctl.cli.mcp.serving import Limits, serve
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(
            f"the server needs the package `mcp`: {error}", hint="`pipx install 'sdqctl[mcp]'`"
        ) from error
    limits = Limits(runs=max_runs, depth=max_depth, time=max_time)
    serve(app, workflows, policy, limits)

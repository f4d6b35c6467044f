"""`sdqctl worker`: do the runs of a queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_mode
from sdqctl.cli.options import DURATION, examples
from sdqctl.errors import UsageError
from sdqctl.model.sandbox import SANDBOX_CHOICES

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_SHORTEST = 3.0


@click.command(
    epilog=examples(
        "sdqctl worker --queue postgresql://me@db.example/sdqctl --mode implement --parallel 4",
        "sdqctl worker --tags big,gpu --until-idle",
        "sdqctl worker --repository https://git.example/shop.git=~/clones/shop",
    )
)
@click.option("--queue", metavar="URL", help="The queue; default the configured store.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="So many runs at a time.",
)
@click.option("--tags", metavar="T,...", help="Only runs with these tags; default all.")
@click.option("--until-idle", is_flag=True, help="End when no run waits or is being done.")
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="URL=PATH",
    help="A clone that is here; others are made.",
)
@click.option(
    "--take-over",
    type=DURATION,
    default=30.0,
    metavar="DUR",
    help="A worker that is silent so long loses its runs; default 30s, the same on all.",
)
@click.option(
    "--mode",
    default="audit",
    show_default=True,
    metavar="MODE",
    help="The most that a run may do.",
    shell_complete=complete_mode,
)
@click.option("--allow-tool", "allow_tools", multiple=True, metavar="P", help="Allow a tool.")
@click.option("--deny-tool", "deny_tools", multiple=True, metavar="P", help="Deny a tool.")
@click.option("--allow-all-tools", is_flag=True, help="Allow every tool that is not denied.")
@click.option("--sandbox", type=click.Choice(SANDBOX_CHOICES), help="The net; default auto.")
@click.option("-q", "--quiet", is_flag=True, help="Errors alone.")
@click.pass_obj
def worker(
    app: App,
    /,
    queue: str | None,
    parallel: int,
    tags: str | None,
    until_idle: bool,
    repositories: tuple[str, ...],
    take_over: float,
    mode: str,
    allow_tools: tuple[str, ...],
    deny_tools: tuple[str, ...],
    allow_all_tools: bool,
    sandbox: str | None,
    quiet: bool,
) -> None:
    """Do the runs of a queue, each in its own session and work tree, until it is told to stop.

    A run gets no more than this worker allows, whatever its workflow or whoever put it in asks
    for. SIGTERM and Ctrl-C give back what is being done: another worker goes on with it.
    """
    from sdqctl.cli.runs.working import WorkRequest, work_for

    if take_over < _SHORTEST:
        raise UsageError("--take-over is 3s at least")
    request = WorkRequest(
        queue=queue,
        mode=mode,
        allow_tools=allow_tools,
        deny_tools=deny_tools,
        allow_all_tools=allow_all_tools,
        sandbox=sandbox,
        parallel=parallel,
        tags=None if tags is None else _tags(tags),
        until_idle=until_idle,
        take_over=take_over,
        repositories=dict(map(_repository, repositories)),
        quiet=quiet,
    )
    work_for(app, request)


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(filter(None, map(str.strip, text.split(","))))
    if not tags:
        raise UsageError("--tags names no tag", hint="leave it out to take the runs of all tags")
    return tags


def _repository(text: str) -> tuple[str, Path]:
    url, equals, path = text.rpartition("=")
    folder = Path(path).expanduser()
    if not equals or not url:
        raise UsageError(f"--repository {text}: it is URL=PATH")
    if not folder.is_dir():
        raise UsageError(f"--repository {text}: there is no folder {folder}")
    return url, folder.absolute()

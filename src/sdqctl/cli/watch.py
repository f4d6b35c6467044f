"""`sdqctl watch`: what a run in the background says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import adapter_option, examples
from sdqctl.cli.runs.options import asked_for

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(epilog=examples("sdqctl watch audit-1", "sdqctl watch audit-1 --format jsonl"))
@click.argument("session", shell_complete=complete_session)
@adapter_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "jsonl"]),
    default="text",
    help="json: one object at the end; jsonl: events as they come.",
)
@click.option("-v", "--verbose", is_flag=True, help="Narrate more: tools, tokens, retries.")
@click.option("-q", "--quiet", is_flag=True, help="Errors alone.")
@click.option("-P", "--show-prompts", is_flag=True, help="Show the prompts that were sent.")
@click.pass_obj
def watch(app: App, /, session: str, adapter: str | None, **flags: object) -> int:
    """Follow the run of SESSION that goes on in the background, from its beginning, as `run` would
    have shown it; ends with the run, and with its exit code.

    Ctrl-C ends the watching alone: the run goes on.
    """
    from sdqctl.cli.runs.watching import watch_run

    _, display = asked_for(flags)
    return watch_run(app, session, adapter, display)

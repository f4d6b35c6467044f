"""`sdqctl chat`: talk to an agent, in a new session or in one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_adapter, complete_session
from sdqctl.cli.options import examples
from sdqctl.cli.runs.options import RunCommand, asked_for, talk_options

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(
    cls=RunCommand,
    epilog=examples(
        "sdqctl chat",
        "sdqctl chat review-1 --mode implement --allow-tool 'shell(npm test)'",
    ),
)
@click.argument("name", required=False, shell_complete=complete_session)
@click.option(
    "-a",
    "--adapter",
    metavar="ADAPTER",
    help="The adapter, one of `sdqctl status --adapters`.",
    shell_complete=complete_adapter,
)
@talk_options
@click.pass_obj
def chat(app: App, /, name: str | None, **flags: object) -> int:
    """Talk to an agent on a terminal: in a new session, or on in NAME where there is one.

    Without NAME the new session is called after the first message. You are asked about each tool
    that is not allowed.
    """
    from sdqctl.cli.chat.opening import open_chat

    options, display = asked_for(flags)
    return open_chat(app, name, options, display)

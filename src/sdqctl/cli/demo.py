"""`sdqctl demo`: the main job end to end, in a temporary home, as a user would type it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import examples

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(epilog=examples("sdqctl demo", "NO_COLOR=1 sdqctl demo | less"))
@click.pass_obj
def demo(app: App, /) -> int:
    """See the main job end to end, in a temporary home that is removed afterwards.

    The real Copilot runtime is used; with your provider or token if one is set, else with the
    built-in loopback model, and the demo says which.
    """
    from sdqctl.cli.showcase import run_demo

    return run_demo(app)

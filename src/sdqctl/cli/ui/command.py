"""`sdqctl ui`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import examples
from sdqctl.cli.output import can_draw
from sdqctl.cli.shared import ConfiguredStore
from sdqctl.errors import RuntimeMissingError, UsageError

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(epilog=examples("sdqctl ui", "sdqctl ui --here"))
@click.option("--here", is_flag=True, help="Begin with the sessions of this project alone.")
@click.pass_obj
def ui(app: App, /, here: bool) -> int:
    """See all sessions on one screen, what needs you first, and act on them by single keys.

    Runs that are begun here go on in the background: leaving it ends none. `?` shows all keys.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "sdqctl ui needs a terminal", hint="`sdqctl sessions list` has the same as lines"
        )
    if not can_draw():
        raise UsageError(
            "sdqctl ui needs a screen: by its TERM this terminal has lines alone",
            hint="`sdqctl sessions list --watch` has the same as lines",
        )
    try:
        from sdqctl.cli.ui.screen import SessionsApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise RuntimeMissingError(
            "the screen needs the library textual, which is not installed",
            hint="install sdqctl with it: `pipx install 'sdqctl[ui]'`",
        ) from error
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # without its terminal it has nothing to do
    store = ConfiguredStore(app) if app.settings.store else None
    SessionsApp(app, here=here, store=store).run()
    return 0

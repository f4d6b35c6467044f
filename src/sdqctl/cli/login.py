"""`sdqctl login`: the runtime's own sign-in, on this terminal."""

from __future__ import annotations

import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_adapter
from sdqctl.cli.options import examples
from sdqctl.cli.output import note, write_line
from sdqctl.errors import AuthenticationError, InterruptedRunError, RuntimeMissingError
from sdqctl.text.terminal import sanitize

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.health import SignIn


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=examples("sdqctl login", "sdqctl login -- --device-code"),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-a",
    "--adapter",
    metavar="ADAPTER",
    help="Whose runtime; default that of runs.",
    shell_complete=complete_adapter,
)
@click.pass_obj
def login(app: App, /, arguments: tuple[str, ...], adapter: str | None) -> None:
    """Sign in with the runtime's own command; ARGUMENTS go on to it. Nothing is kept by sdqctl.

    Exit 6 when that fails.
    """
    from sdqctl.adapters import base, registry

    name = adapter or app.settings.adapter
    made = app.adapter(name)
    sign_in = base.power(made, base.SignsIn).sign_in()
    _hand_over(sign_in, arguments)
    for line in registry.entry(name).account(app.adapter_settings(name), app.play(made.check())):
        write_line(sanitize(line))


def _hand_over(sign_in: SignIn, arguments: tuple[str, ...]) -> None:
    command = [*sign_in.command, *arguments]
    note(f"$ {shlex.join(command)}")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the other program's
    try:
        process = subprocess.Popen(
            command,
            env=dict(sign_in.environment),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        code = process.wait()
    except OSError as error:
        raise RuntimeMissingError(f"{command[0]} cannot be run: {error.strerror}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    if code in (-signal.SIGINT, 128 + signal.SIGINT):
        raise InterruptedRunError("the sign-in was left")
    if code != 0:
        raise AuthenticationError(
            f"the runtime's sign-in ended with exit code {code}", hint=sign_in.other_ways
        )

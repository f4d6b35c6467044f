"""Starting the runtime while the SDK is still being imported; each takes about half a second.

The SDK starts its runtime itself, after it was imported. Here the same command line is started
before, and handed to a client that takes it for its own (SDK 1.0.27: `_start_cli_server`).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdqctl.adapters.copilot.late_classes import late_classes
from sdqctl.adapters.copilot.pipes import guard
from sdqctl.adapters.copilot.times import read_times_quickly
from sdqctl.model.sandbox import Sandbox

if TYPE_CHECKING:
    from copilot import CopilotClient, RuntimeConnection

LOG_LEVEL: Final = "error"
_ARGUMENTS = ("--headless", "--no-auto-update", "--log-level", LOG_LEVEL, "--stdio")
_STARTER = "_start_cli_server"


def start_early(
    program: Path, environment: Mapping[str, str], sandbox: Sandbox
) -> subprocess.Popen[bytes]:
    """Start the runtime as the SDK would, but in its net, and out of reach of the terminal's
    Ctrl-C: what that means is decided here. It ends with its input.

    Raises OSError when it is no program, SandboxError and SubprocessError when the net cannot be
    entered.
    """
    variables = {**environment, "COPILOT_RUNTIME_PROCESS_FILE_LOGGING": "1"}
    with sandbox.confine([str(program), *_ARGUMENTS], variables) as inside:
        process = subprocess.Popen(
            inside.arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env=inside.environment,
            preexec_fn=inside.enter,
        )
    guard(process, asyncio.get_running_loop())
    return process


def adopting(
    client: type[CopilotClient], process: subprocess.Popen[bytes]
) -> type[CopilotClient] | None:
    """A kind of client that uses a started process; None when the SDK is another one."""
    if not hasattr(client, _STARTER):
        return None

    async def adopt(self: Any) -> None:  # noqa: ANN401 - of a class made here, on private names
        self._process = self._cli_process = process

    return type("EarlyClient", (client,), {_STARTER: adopt})


def give_up(process: subprocess.Popen[bytes]) -> None:
    """End a process that nobody adopted."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def import_sdk() -> tuple[type[CopilotClient], Callable[..., RuntimeConnection]]:
    """The SDK's client class, and what makes the connection to a runtime's program."""
    # The SDK logs tracebacks of errors that it also raises; the errors are enough.
    logging.getLogger("copilot").addHandler(logging.NullHandler())
    with _quiet_collector(), late_classes():
        from copilot import CopilotClient, RuntimeConnection

        read_times_quickly()
    return CopilotClient, RuntimeConnection.for_stdio


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Importing the SDK makes millions of objects; collecting garbage meanwhile costs 0.1 s."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

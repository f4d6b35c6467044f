"""What an installed runtime reports of itself without the SDK, whose import costs a second."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sdqctl.model.sandbox import Sandbox

_ARGUMENTS = ("--headless", "--no-auto-update", "--log-level", "none", "--stdio")
_SECONDS = 30.0
_LONGEST = 20_000_000


def runtime_tools(
    program: Path, environment: Mapping[str, str], sandbox: Sandbox
) -> list[str] | None:
    """The names of the runtime's own tools; None when it does not say (0.6 s on 2 cores).

    It works in a net and in the root folder: no repository is read. Raises SandboxError when the
    net cannot be had.
    """
    requests: tuple[tuple[str, dict[str, Any]], ...] = (("connect", {}), ("tools.list", {}))
    sent = b"".join(_framed(index, *request) for index, request in enumerate(requests, 1))
    try:
        with sandbox.confine([str(program), *_ARGUMENTS], environment) as inside:
            process = subprocess.Popen(
                inside.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=program.anchor or "/",
                env=inside.environment,
                preexec_fn=inside.enter,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    with process:
        try:
            return _names(process, sent, len(requests))
        finally:
            process.kill()
            if process.stdin is not None:
                with suppress(OSError):  # what was not taken is still to be written
                    process.stdin.close()


def _names(process: subprocess.Popen[bytes], sent: bytes, wanted: int) -> list[str] | None:
    """The answer to the last request. A runtime that is silent is ended by the timer."""
    import threading

    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdin is not None, "it was opened as a pipe"
        assert process.stdout is not None, "it was opened as a pipe"
        process.stdin.write(sent)
        process.stdin.flush()
        while (message := _message(process.stdout)) is not None:
            if message.get("id") == wanted:
                return [str(tool["name"]) for tool in message["result"]["tools"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    finally:
        timer.cancel()
    return None


def _framed(number: int, method: str, parameters: Mapping[str, Any]) -> bytes:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
    ).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def _message(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message, None at the end. Raises ValueError for what is none."""
    length = 0
    while line := stream.readline(_LONGEST).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if not 0 < length < _LONGEST:
        return None
    message = json.loads(stream.read(length))
    if not isinstance(message, dict):
        raise ValueError("no message")
    return message

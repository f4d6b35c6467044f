"""Running an agent's program to its end, in a net: it may not be what was installed any more."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from sdqctl.model.sandbox import Sandbox


def output_of(
    arguments: Sequence[str], environment: Mapping[str, str], sandbox: Sandbox, seconds: float
) -> str:
    """What a program says on stdout; it has no input.

    Raises OSError and SubprocessError when it cannot be run, fails or takes longer, SandboxError
    when the net cannot be had.
    """
    with sandbox.confine(arguments, environment) as inside:
        done = subprocess.run(
            inside.arguments,
            env=inside.environment,
            preexec_fn=inside.enter,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=True,
        )
    return done.stdout

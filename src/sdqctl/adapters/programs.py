"""Running an agent's program to its end, in a net: it may not be what was installed any more."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from sdqctl.model.sandbox import Sandbox
from sdqctl.text.terminal import one_line

_LONGEST = 300
"""Columns of what a program said last."""


def output_of(
    arguments: Sequence[str], environment: Mapping[str, str], sandbox: Sandbox, seconds: float
) -> str:
    """What a program says on stdout; it has no input.

    Raises OSError and SubprocessError when it cannot be run, fails (with what it said last) or
    takes longer, SandboxError when the net cannot be had.
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
            check=False,
        )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        last = f": {one_line(said[-1], _LONGEST)}" if said else ""
        raise subprocess.SubprocessError(f"it ends with exit status {done.returncode}{last}")
    return done.stdout

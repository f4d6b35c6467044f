"""Which net holds for a run on this machine, and what it lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

from sdqctl.errors import SandboxError, UsageError
from sdqctl.model.modes import WRITING_MODES, is_open
from sdqctl.model.sandbox import SANDBOX_CHOICES, Held
from sdqctl.sandbox import filters, landlock

_SECONDS = 10.0
_LACKING = (
    (2, "files cannot be moved from one folder to another"),
    (3, "a file outside can be emptied, though not read or written"),
    (4, "network connections are not held to ports"),
    (5, "requests to devices (ioctl) are not held"),
    (6, "signals and abstract Unix sockets reach processes outside"),
)
"""What a kernel below a version of Landlock does not hold (landlock(7))."""


def choose(wanted: str, mode: str | None, environment: Mapping[str, str]) -> str:
    """The net of a run: `landlock`, `bubblewrap`, `runtime` or `none`.

    Raises SandboxError for one that this machine does not have, UsageError for an unknown word.
    """
    match wanted:
        case "auto":
            return "landlock" if not is_open(mode) and landlock.version() > 0 else "none"
        case "landlock" if landlock.version() == 0:
            raise SandboxError(
                "--sandbox landlock: this machine has no Landlock",
                hint="it needs Linux 5.13 with `landlock` in /sys/kernel/security/lsm; "
                "`--sandbox bubblewrap` or `--sandbox none` goes without it",
            )
        case "bubblewrap":
            _require_bubblewrap(environment.get("PATH"))
        case _ if wanted not in SANDBOX_CHOICES:
            raise UsageError(
                f"{wanted!r} is no sandbox", hint=f"the choices are {', '.join(SANDBOX_CHOICES)}"
            )
    return wanted


def held(wanted: str, environment: Mapping[str, str]) -> Held:
    """What a setting comes to on this machine; never raises for one that it does not have."""
    problem = None
    try:
        reading, writing, full = (
            choose(wanted, mode, environment) for mode in ("audit", "implement", "full")
        )
    except (SandboxError, UsageError) as error:
        reading = writing = full = "none"
        problem = error.message
    abi = landlock.version()
    lacks: tuple[str, ...] = ()
    if "landlock" in (reading, writing, full):
        lacks = tuple(text for version, text in _LACKING if abi < version)
        if not filters.is_supported():
            lacks += ("Unix sockets are not held",)
    return Held(
        reading=reading, writing=writing, full=full, landlock=abi, lacks=lacks, problem=problem
    )


def require_net(kind: str, mode: str | None) -> None:
    """Raise SandboxError when a workflow needs a net (REQUIRE sandbox) and none would hold."""
    if kind != "none":
        return
    if landlock.version() > 0 and (mode or "").strip().lower() in WRITING_MODES:
        hint = "`--sandbox landlock` gives it one"
    else:
        hint = "`sdqctl status --adapters` says what this machine has"
    raise SandboxError("the workflow says REQUIRE sandbox, and no sandbox would hold", hint=hint)


@cache
def _require_bubblewrap(path: str | None) -> None:
    """Once it was seen to work, it is not tried again: a batch asks for each of its runs."""
    program = shutil.which("bwrap", path=path)
    if program is None or not sys.platform.startswith("linux"):
        raise SandboxError(
            "--sandbox bubblewrap: there is no program `bwrap`",
            hint="install bubblewrap (`apt-get install bubblewrap`), or leave --sandbox out",
        )
    try:
        subprocess.run(
            [program, "--unshare-user", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
            check=True,
            capture_output=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(
            f"--sandbox bubblewrap: {program} does not work here: {_words(error)}",
            hint="it needs user namespaces, which containers often refuse",
        ) from error


def _words(error: Exception) -> str:
    said = getattr(error, "stderr", None) or b""
    return said.decode("utf-8", "replace").strip() or str(error)

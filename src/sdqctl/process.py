"""Whether a process lives, whether it is still the same one, and dying where a test wants it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

_CLOCK_SECONDS = 2.0
"""How far the times of a process's start and of a file may be apart by rounding."""
_passed: Counter[str] = Counter()


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return _state(pid) != "Z"


def start_mark(pid: int) -> str | None:
    """What tells this process from a later one of the same id: its start, None if not known.

    On Linux the start in clock ticks since boot (proc(5), field 22), elsewhere what ps says.
    """
    fields = _stat_fields(pid)
    if fields:
        return fields[19] if len(fields) > 19 else None
    return None if _has_proc() else _by_ps(pid, "lstart")


def is_same(pid: int, mark: str | None) -> bool:
    """Whether the process of this id lives and began when `mark` says."""
    return is_alive(pid) and (mark is None or start_mark(pid) == mark)


def may_hold(pid: int, since: float, program: str) -> bool:
    """Whether a live process may have left a marker of its id at a time (seconds since the epoch).

    Ids are used again, soonest in containers and after a reboot: a process that began after the
    marker and runs another program did not leave it. What is not known, as on macOS, counts as yes.
    """
    if not is_alive(pid):
        return False
    began = _began(pid)
    if began is None or began <= since + _CLOCK_SECONDS:
        return True
    try:
        return program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().lower()
    except OSError:
        return True


def commit_point(name: str) -> None:
    """Die here by SIGKILL when SDQCTL_CRASH_AT is `name:count` and this is the count-th time.

    The crash tests kill the program at each of its commits with it.
    """
    wanted = os.environ.get("SDQCTL_CRASH_AT")
    if wanted is None:
        return
    _passed[name] += 1
    if wanted == f"{name}:{_passed[name]}":
        os.kill(os.getpid(), signal.SIGKILL)


def _began(pid: int) -> float | None:
    """When a process was started, in seconds since the epoch (proc(5): stat, `btime`)."""
    fields = _stat_fields(pid)
    try:
        lines = Path("/proc/stat").read_text("utf-8").splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _state(pid: int) -> str | None:
    """The letter of a process's state, on Linux and in ps alike (proc(5), ps(1): `Z` is dead)."""
    fields = _stat_fields(pid)
    if fields:
        return fields[0]
    return None if _has_proc() else (_by_ps(pid, "state") or "")[:1] or None


def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()


def _by_ps(pid: int, column: str) -> str | None:
    """What ps(1) says of a process, where there is no /proc."""
    import subprocess

    command = ["ps", "-o", f"{column}=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []

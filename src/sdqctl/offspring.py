"""Which processes belong to a runtime and its tools, or to a command, and ending them.

A runtime is started with a mark of its own in its environment, which all that it starts inherits.
So its tools are found when it is dead and they live on, in sessions of their own, under init. A
process counts when it is this user's and its mark is exactly the one asked for, or when such a
process started it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sdqctl.process import is_same, start_mark

MARK = "SDQCTL_RUNTIME"
"""The variable that holds the mark of a runtime."""
COMMAND = "SDQCTL_COMMAND"
"""The variable that holds the mark of a workflow's command: its folder."""
_GRACE = 1.0
"""Seconds between asking to end and killing."""
_GIVE_UP = 5.0
"""Seconds after which what cannot be killed (it waits for a disk, say) is waited for no longer."""
_POLL = 0.02
_START = 0.001
"""Seconds for the kernel to put a program in the place of another; it takes less."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """A process: its id, and its start, which tells it from a later one of the same id."""

    pid: int
    start: str | None

    def began_after(self, moment: float) -> bool:
        """Whether it began then or later; False where that is not known."""
        if sys.platform != "linux" or self.start is None:
            return False
        return (int(self.start) + 1) / os.sysconf("SC_CLK_TCK") >= moment


@dataclass(frozen=True)
class _Seen:
    """What a look at a process shows. `environment` may hold its arguments as well."""

    parent: int
    environment: frozenset[str]


def new_mark() -> str:
    """A mark that no other runtime has."""
    return uuid.uuid4().hex


def moment() -> float:
    """Now, as `since` takes it: seconds since boot (proc(5), field 22 of stat), 0 if not known."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else 0.0


def offspring(
    mark: str,
    *,
    variable: str = MARK,
    having: Mapping[str, str] | None = None,
    since: float | None = None,
    known: Iterable[Process] = (),
) -> list[Process]:
    """The live processes of a mark, without this one.

    `having` are further variables that they were started with. `since`: only those that began at
    this `moment` or later; where a start is not known, it counts as earlier.
    `known` were found before, and may have lost since what they were found by.
    """
    wanted = {f"{name}={value}" for name, value in {**(having or {}), variable: mark}.items()}
    seen = _processes(f"{variable}={mark}")
    found = {pid for pid, process in seen.items() if wanted <= process.environment}
    found |= {each.pid for each in known if is_same(each.pid, each.start)} & seen.keys()
    grown = -1
    while len(found) != grown:  # a tool may have started something without its environment
        grown = len(found)
        found |= {pid for pid, process in seen.items() if process.parent in found}
    found.discard(os.getpid())
    processes = [Process(pid, start_mark(pid)) for pid in sorted(found)]
    return [process for process in processes if since is None or process.began_after(since)]


def end_offspring(
    mark: str,
    *,
    variable: str = MARK,
    having: Mapping[str, str] | None = None,
    since: float | None = None,
) -> int:
    """End the processes of a mark, and say how many there were; blocks for seconds at most.

    All are stopped first: when a child is ended alone, its shell goes on to the next command.
    """
    known: set[Process] = set()
    find = partial(offspring, mark, variable=variable, having=having, since=since, known=known)
    started = time.monotonic()
    while left := find():
        known.update(left)
        waited = time.monotonic() - started
        if waited > _GIVE_UP:
            _LOG.warning("processes of an ended runtime live on: %s", [p.pid for p in left])
            break
        asked = waited < _GRACE
        frozen = _freeze(left, find)
        _signal(frozen, signal.SIGTERM if asked else signal.SIGKILL)
        _signal(frozen, signal.SIGCONT)
        _wait(frozen, _GRACE if asked else _POLL)
    return len(known)


def _freeze(found: Iterable[Process], find: Callable[[], Iterable[Process]]) -> set[Process]:
    """Stop processes, also those that they started meanwhile."""
    frozen: set[Process] = set()
    while new := set(found) - frozen:
        _signal(new, signal.SIGSTOP)
        frozen |= new
        found = find()
    return frozen


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if is_same(process.pid, process.start):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue
            except PermissionError as error:  # a program that changes its user
                _LOG.debug("process %s: %s", process.pid, error)


def _wait(processes: Iterable[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    left = set(processes)
    while left and time.monotonic() < deadline:
        time.sleep(_POLL)
        left = {process for process in left if is_same(process.pid, process.start)}


def _processes(word: str) -> dict[int, _Seen]:
    """This user's processes; the environment of those without the word is left out."""
    return _from_proc(word.encode()) if Path("/proc/self/environ").exists() else _from_ps()


def _from_proc(word: bytes) -> dict[int, _Seen]:
    """Looks until no process is new: one that ended meanwhile may have started another before."""
    found = {}
    user = os.getuid()
    done: set[str] = set()
    give_up = time.monotonic() + _GRACE
    while (new := {*filter(str.isdecimal, os.listdir("/proc"))} - done) and (
        time.monotonic() < give_up
    ):
        for name in new:
            try:
                seen = _look(name, word) if os.stat(f"/proc/{name}").st_uid == user else None
            except _StartingError:
                time.sleep(_START)
                continue
            except (OSError, ValueError, IndexError):  # it ended meanwhile, or is not to be seen
                seen = None
            done.add(name)
            if seen is not None:
                found[int(name)] = seen
    return found


class _StartingError(Exception):
    """A process is between two programs: its environment is not to be read yet."""


def _look(name: str, word: bytes) -> _Seen:
    """What /proc says of a process; the environment without the word is left out.

    While a program takes the place of another, the environment reads as empty and, in proc(5)'s
    stat, has no end (field 51) though there is memory (field 23), which what is dead has not.
    """
    with open(f"/proc/{name}/environ", "rb") as stream:
        data = stream.read()
    with open(f"/proc/{name}/stat", "rb") as stream:
        fields = stream.read().rpartition(b")")[2].split()
    start, end = fields[47:49]
    if not data and fields[20] != b"0" and (end == b"0" or start != end):
        raise _StartingError
    words = data.decode("utf-8", "replace").split("\0") if word in data else ()
    return _Seen(int(fields[1]), frozenset(words))


def _from_ps() -> dict[int, _Seen]:
    """The same from ps(1), which shows the environment after the arguments of one's own."""
    command = ["ps", "axeww", "-o", "pid=,ppid=,uid=,command="]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = {}
    for line in done.stdout.splitlines():
        pid, parent, user, *words = line.split()
        if int(user) == os.getuid():
            found[int(pid)] = _Seen(int(parent), frozenset(words))
    return found

"""Running a command: in a process group of its own, bounded in time and memory, never interactive.

Whatever ends the step (a time-out, a cancellation, the death of sdqctl) ends the whole group. For
the last the group has a guard as its leader, which the kernel tells on Linux when sdqctl dies.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sdqctl.errors import StepError
from sdqctl.model.workflow import RunStep

TIMED_OUT = 124
"""The exit status of a command that was ended by its time limit, as timeout(1) gives it."""
_KEEP = 1024 * 1024
"""Bytes of head and of tail that are kept of a flood."""
_GRACE = 3.0
_PR_SET_PDEATHSIG = 1
_GUARD = 'trap "kill -KILL 0" USR1; "$@" & wait "$!"'


@dataclass
class CommandResult:
    """How a command ended and what it said (stdout and stderr as they came)."""

    exit_status: int
    output: str
    cut: int = 0
    """Bytes that were left out of the middle."""
    timed_out: bool = False


@dataclass
class _Collector:
    """Keeps the head and the tail of a stream, and counts the rest."""

    head: bytearray = field(default_factory=bytearray)
    tail: deque[bytes] = field(default_factory=deque)
    tail_size: int = 0
    cut: int = 0

    def add(self, data: bytes) -> None:
        room = _KEEP - len(self.head)
        self.head += data[:room]
        rest = data[room:]
        if rest:
            self.tail.append(rest)
            self.tail_size += len(rest)
        while self.tail_size > _KEEP:
            dropped = self.tail.popleft()
            self.tail_size -= len(dropped)
            self.cut += len(dropped)

    def text(self) -> str:
        gap = f"\n[... {self.cut} bytes left out ...]\n".encode() if self.cut else b""
        return (bytes(self.head) + gap + b"".join(self.tail)).decode("utf-8", "replace")


async def run_command(
    step: RunStep,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    wrapper: Sequence[str] = (),
) -> CommandResult:
    """Run a RUN step's command to its end. `wrapper` is put before the arguments.

    A command that is not found is a result with status 127, as a shell gives it. Raises StepError
    when the working directory is not there.
    """
    process = await start_command(step, cwd=cwd, environment=environment, wrapper=wrapper)
    collector = _Collector()
    try:
        async with asyncio.timeout(step.timeout):
            await _read(process, collector.add)
            status = await process.wait()
    except TimeoutError:
        await end_group(process)
        await _read(process, collector.add)
        return CommandResult(TIMED_OUT, collector.text(), collector.cut, timed_out=True)
    except BaseException:
        await end_group(process)
        raise
    kill_rest(process)
    return CommandResult(status, collector.text(), collector.cut)


async def start_command(
    step: RunStep, *, cwd: Path, environment: Mapping[str, str], wrapper: Sequence[str] = ()
) -> asyncio.subprocess.Process:
    """Start a command in its own session, with no input. Raises StepError for a missing folder."""
    folder = cwd / step.cwd if step.cwd else cwd
    if not folder.is_dir():
        raise StepError(f"RUN-CWD {folder}: there is no such folder")
    arguments = step.argv or ("/bin/sh", "-c", step.command)
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        _GUARD,
        "sdqctl-run",
        *wrapper,
        *arguments,
        cwd=folder,
        env={**environment, **dict(step.environment)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent(),
    )


async def end_group(process: asyncio.subprocess.Process) -> None:
    """End a command and everything it started: asked first, killed after a grace."""
    _signal_group(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        kill_rest(process)
    await process.wait()


def kill_rest(process: asyncio.subprocess.Process) -> None:
    """Kill what a command left behind in its group."""
    _signal_group(process, signal.SIGKILL)


def format_output(command: str, result: CommandResult, limit: int | None) -> str:
    """What the model is told: the command, its output cut to `limit` characters, its status."""
    lines = [f"$ {command}"]
    output = cut_middle(result.output.rstrip("\n"), limit)
    if output:
        lines.append(output)
    if result.timed_out:
        lines.append("[ended by its time limit]")
    elif result.exit_status != 0:
        lines.append(f"[exit status {result.exit_status}]")
    return "\n".join(lines)


def cut_middle(text: str, limit: int | None) -> str:
    """Text cut to two thirds of head and one third of tail, saying how much is left out."""
    if limit is None or len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    gap = f"\n[... {len(text) - limit} characters left out ...]\n"
    return text[:head] + gap + (text[-tail:] if tail else "")


async def _read(process: asyncio.subprocess.Process, take: Callable[[bytes], None]) -> None:
    assert process.stdout is not None, "stdout is a pipe"
    while data := await process.stdout.read(65_536):
        take(data)


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@cache
def _die_with_parent() -> Callable[[], None] | None:
    """A function for the guard that has the kernel tell it when sdqctl dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)

    return ask

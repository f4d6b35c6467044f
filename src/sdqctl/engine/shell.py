"""Running a command: in a process group of its own, bounded in time and memory, never interactive.

Whatever ends the step (a time-out, a cancellation, the death of sdqctl) ends the whole group. For
the last a watcher in the group reads from a pipe whose other end only sdqctl has.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sdqctl.errors import StepError
from sdqctl.model.workflow import RunStep

NOT_FOUND = 127
TIMED_OUT = 124
"""The exit status of a command that was ended by its time limit, as timeout(1) gives it."""
_KEEP = 1024 * 1024
"""Bytes of head and of tail that are kept of a flood."""
_CHUNK = 65_536
_GRACE = 3.0
"""Seconds between asking a command to end and killing it."""
_LAST_OUTPUT = 1.0
"""Seconds for what is still in the pipe of an ended command."""
_GUARD = """
exec 3<&0 </dev/null
trap : TERM
{ trap '' TERM; read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
watcher=$!
"$@" 3<&- &
command=$!
while :; do
  wait "$command"
  status=$?
  kill -0 "$command" 2>/dev/null || break
done
{ kill -KILL "$watcher"; wait "$watcher"; } 2>/dev/null
exit "$status"
"""
"""Leads the group, runs its arguments and gives their exit status. A TERM is for the command alone,
so the guard bears it (a handler, not ignored: that would be inherited).
"""


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


class Command:
    """A command that was started in a group of its own, and what it says."""

    def __init__(
        self, process: asyncio.subprocess.Process, reading: asyncio.Task[None], lifeline: int
    ) -> None:
        self._process = process
        self._reading = reading
        self._lifeline = lifeline

    @classmethod
    async def start(
        cls,
        step: RunStep,
        take: Callable[[bytes], None],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        wrapper: Sequence[str] = (),
    ) -> Self:
        """Start a command with no input; `take` gets its output.

        Raises StepError when its folder is not there.
        """
        folder = _folder(step, cwd)
        watched, lifeline = os.pipe()
        output, written = os.pipe()
        try:
            process = await _start(
                ("/bin/sh", "-c", _GUARD, "sdqctl-run", *wrapper, *_arguments(step)),
                folder,
                {**environment, **dict(step.environment)},
                (watched, written),
            )
        except BaseException:
            os.close(output)
            os.close(lifeline)
            raise
        return cls(process, asyncio.create_task(_read(output, take)), lifeline)

    @property
    def exit_status(self) -> int | None:
        """None while it runs; of one ended by a signal 128 and more, as a shell gives it."""
        status = self._process.returncode
        return status if status is None or status >= 0 else 128 - status

    async def wait(self) -> int:
        """Wait for its end, then kill what it left behind in its group."""
        await self._process.wait()
        await self._settle()
        return self.exit_status or 0

    async def end(self) -> None:
        """End it and everything in its group: asked first, killed after a grace."""
        if self.exit_status is not None:
            return
        _signal_group(self._process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()
        await self._process.wait()
        await self._settle()

    def kill(self) -> None:
        """Kill its group at once, and no longer keep a watch on it."""
        if self._lifeline >= 0:
            _signal_group(self._process.pid, signal.SIGKILL)
            os.close(self._lifeline)
            self._lifeline = -1

    async def _settle(self) -> None:
        """Kill the rest and read what is in the pipe; who left the group may keep it open."""
        self.kill()
        await asyncio.wait({self._reading}, timeout=_LAST_OUTPUT)
        self._reading.cancel()


async def run_command(
    step: RunStep,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    wrapper: Sequence[str] = (),
) -> CommandResult:
    """Run a RUN step's command to its end. `wrapper` is put before the arguments.

    It ends when the command itself does; what it leaves running in its group is killed. A command
    that is not found is a result with status 127, as a shell gives it. Raises StepError when the
    working directory is not there.
    """
    if missing := _missing(step, cwd, environment):
        return CommandResult(NOT_FOUND, missing)
    collector = _Collector()
    command = await Command.start(
        step, collector.add, cwd=cwd, environment=environment, wrapper=wrapper
    )
    try:
        async with asyncio.timeout(step.timeout):
            status = await command.wait()
    except TimeoutError:
        await command.end()
        return CommandResult(TIMED_OUT, collector.text(), collector.cut, timed_out=True)
    except BaseException:
        await command.end()
        raise
    return CommandResult(status, collector.text(), collector.cut)


def format_output(command: str, result: CommandResult, limit: int | None) -> str:
    """What the model is told: the command, its output cut to `limit` characters, its status."""
    lines = [f"$ {command}"]
    output = cut_middle(result.output.rstrip("\n"), limit, before=result.cut)
    if output:
        lines.append(output)
    if result.timed_out:
        lines.append("[ended by its time limit]")
    elif result.exit_status != 0:
        lines.append(f"[exit status {result.exit_status}]")
    return "\n".join(lines)


def cut_middle(text: str, limit: int | None, *, before: int = 0) -> str:
    """Text cut to two thirds of head and one third of tail, saying how much is left out.

    `before` is how much was left out of its middle earlier.
    """
    if limit is None or len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    gap = f"\n[... {len(text) - limit + before} characters left out ...]\n"
    return text[:head] + gap + (text[-tail:] if tail else "")


def _folder(step: RunStep, cwd: Path) -> Path:
    folder = cwd / Path(step.cwd).expanduser() if step.cwd else cwd
    if not folder.is_dir():
        raise StepError(f"RUN {step.command}: there is no folder {folder}")
    return folder


def _arguments(step: RunStep) -> Sequence[str]:
    return step.argv or ("/bin/sh", "-c", step.command)


def _missing(step: RunStep, cwd: Path, environment: Mapping[str, str]) -> str:
    """What to say when the program of a command without a shell is not there, else nothing."""
    folder = _folder(step, cwd)
    if not step.argv:
        return ""
    name = step.argv[0]
    path = dict(step.environment).get("PATH", environment.get("PATH"))
    if ("/" in name and (folder / name).exists()) or shutil.which(name, path=path):
        return ""
    return f"{name}: there is no such command"


async def _read(output: int, take: Callable[[bytes], None]) -> None:
    """Take what comes out of a pipe up to its end, and close it."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(output, "rb", buffering=0)
    )
    try:
        while data := await reader.read(_CHUNK):
            take(data)
    finally:
        transport.close()


async def _start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], ends: tuple[int, int]
) -> asyncio.subprocess.Process:
    """Start a process on two ends of pipes, which are closed here; never one without an owner."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *arguments,
            cwd=folder,
            env=environment,
            stdin=ends[0],
            stdout=ends[1],
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    )
    starting.add_done_callback(lambda _: _close(ends))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        raise


def _close(ends: tuple[int, int]) -> None:
    for end in ends:
        os.close(end)


def _signal_group(leader: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)

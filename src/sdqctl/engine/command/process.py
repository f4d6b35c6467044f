"""Running a command: in a process group of its own, bounded in time and memory, never interactive.

A keeper (`engine.command.keeper`) starts it and stores what it says. Whatever ends the step (a
limit, a cancellation, the death of sdqctl) ends the whole group: for the last the keeper reads from
a pipe whose other end only sdqctl has.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sdqctl.engine.command import keeper
from sdqctl.errors import SandboxError, StepError
from sdqctl.model.sandbox import Confined, NoSandbox, Sandbox
from sdqctl.model.workflow import RunStep
from sdqctl.offspring import COMMAND, end_offspring
from sdqctl.store.evidence import KEEP, Evidence, Output

NOT_FOUND = 127
TIMED_OUT = 124
"""The exit status of a command that was ended by a limit, as timeout(1) gives it."""
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); import keeper; keeper.main()"
"""The keeper, imported since compiling is a third of its start; the import above compiled it."""
_GRACE = 5.0
"""Seconds for the keeper to end a command; it asks it first and kills it after three."""

_UNCONFINED = NoSandbox()


@dataclass(frozen=True)
class Limit:
    """How long a command may take, and what says so, for people: `--step-timeout 30s`."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class CommandResult:
    """How a command ended and what it said (stdout and stderr as they came)."""

    exit_status: int
    output: Output = field(default_factory=Output)
    limit: str | None = None
    """The limit that it was ended by."""
    stdout: str = ""
    """Its stdout alone, where that is captured."""

    @classmethod
    def of(cls, evidence: Evidence, status: int, limit: str | None = None) -> Self:
        """What is known of a command that ended with a status."""
        return cls(status, evidence.output(), limit, evidence.stdout)


class Command:
    """A command that was started in a group of its own."""

    def __init__(
        self, process: asyncio.subprocess.Process, evidence: Evidence, lifeline: int
    ) -> None:
        self._process = process
        self._lifeline = lifeline
        self.evidence = evidence

    @classmethod
    async def start(
        cls,
        step: RunStep,
        evidence: Evidence,
        *,
        cwd: Path,
        environment: Mapping[str, str],
        sandbox: Sandbox = _UNCONFINED,
    ) -> Self:
        """Start a command with no input in a net; what is known of it goes into the folder.

        Raises StepError when its working directory is not there, SandboxError when the net cannot
        be entered.
        """
        folder = _folder(step, cwd)
        variables = {**environment, **dict(step.environment), COMMAND: str(evidence.folder)}
        keep = f"{KEEP}+" if step.capture is not None else str(KEEP)
        watched, lifeline = os.pipe()
        try:
            with sandbox.confine(
                _arguments(step),
                variables,
                marks=evidence.folder,
                folder=folder if step.cwd else None,
            ) as inside:
                arguments = (*_keeper(), str(evidence.folder), keep, *inside.arguments)
                process = await _start(arguments, folder, inside, watched)
        except BaseException:
            os.close(lifeline)
            raise
        return cls(process, evidence, lifeline)

    @property
    def exit_status(self) -> int | None:
        """None while it runs; of one ended by a signal 128 and more, as a shell gives it."""
        status = self._process.returncode
        return status if status is None or status >= 0 else 128 - status

    async def wait(self) -> int:
        """Wait for its end; what it leaves behind in its group is killed."""
        status = await self._process.wait()
        self.kill()
        if status < 0:  # the keeper itself was killed, which could end nothing any more
            await asyncio.to_thread(end_command, self.evidence)
        return self.exit_status or 0

    async def end(self) -> None:
        """End it and everything in its group: asked first, killed after a grace."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """Let its keeper kill its group at once."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def end_command(evidence: Evidence) -> None:
    """End what lives on of a command whose keeper was killed."""
    end_offspring(str(evidence.folder), variable=COMMAND)


async def run_command(
    step: RunStep,
    evidence: Evidence,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    limit: Limit | None = None,
    sandbox: Sandbox = _UNCONFINED,
) -> CommandResult:
    """Run a RUN step's command to its end, or to its limit, in a net.

    It ends when the command itself does; what it leaves running in its group is killed. A command
    that is not found is a result with status 127, as a shell gives it. Raises StepError when the
    working directory is not there, SandboxError when the net cannot be entered.
    """
    if missing := _missing(step, cwd, environment):
        return CommandResult(NOT_FOUND, Output(head=missing.encode()))
    command = await Command.start(step, evidence, cwd=cwd, environment=environment, sandbox=sandbox)
    try:
        async with asyncio.timeout(limit.seconds if limit else None):
            status = await command.wait()
    except TimeoutError:
        assert limit is not None, "only a limit ends the wait"
        try:
            evidence.note_limit(limit.reason)
        finally:
            await command.end()
        return CommandResult.of(evidence, TIMED_OUT, limit.reason)
    except BaseException:
        await command.end()
        raise
    return CommandResult.of(evidence, status)


def format_output(command: str, result: CommandResult, limit: int | None) -> str:
    """What the model is told: the command, its output cut to `limit` characters, its status."""
    lines = [f"$ {command}"]
    output = cut_middle(result.output.text.rstrip("\n"), limit, before=result.output.cut)
    if output:
        lines.append(output)
    if result.limit is not None:
        lines.append(f"[ended by its time limit: {result.limit}]")
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


def _keeper() -> Sequence[str]:
    return (sys.executable, "-I", "-S", "-c", _PROGRAM, os.path.dirname(keeper.__file__))


async def _start(
    arguments: Sequence[str], folder: Path, inside: Confined, watched: int
) -> asyncio.subprocess.Process:
    """Start a process on the end of a pipe, which is closed here; never one without an owner."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *arguments,
            cwd=folder,
            env=inside.environment,
            preexec_fn=inside.enter,
            stdin=watched,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    )
    starting.add_done_callback(lambda _: os.close(watched))
    try:
        return await asyncio.shield(starting)
    except subprocess.SubprocessError as error:
        raise SandboxError(
            "the command cannot enter its sandbox",
            hint="`sdqctl status --adapters` says what this machine has; `--sandbox none` goes "
            "without",
        ) from error
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        raise StepError(
            "the command's arguments are longer than this system takes",
            hint="hand a long value over in a file; Linux takes 128 KiB an argument",
        ) from error
    except asyncio.CancelledError:
        process = await starting
        process.terminate()
        await process.wait()
        raise

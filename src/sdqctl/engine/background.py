"""RUN-ASYNC: commands that work beside the run and end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from sdqctl.engine.shell import cut_middle, end_group, start_command
from sdqctl.model.workflow import RunStep

_KEEP = 64 * 1024


class Background:
    """The background commands of one run."""

    def __init__(self, *, cwd: Path, environment: Mapping[str, str]) -> None:
        self._cwd = cwd
        self._environment = environment
        self._commands: list[tuple[RunStep, asyncio.subprocess.Process, asyncio.Task[None]]] = []
        self._outputs: dict[int, bytes] = {}

    async def start(self, step: RunStep) -> None:
        """Start a command. Raises StepError when its folder is not there."""
        process = await start_command(step, cwd=self._cwd, environment=self._environment)
        self._outputs[process.pid] = b""
        self._commands.append((step, process, asyncio.create_task(self._read(process))))

    def output(self) -> str:
        """What the commands said since they were last asked, each under its command."""
        texts = []
        for step, process, _ in self._commands:
            data, self._outputs[process.pid] = self._outputs[process.pid], b""
            text = data.decode("utf-8", "replace").rstrip("\n")
            ended = "" if process.returncode is None else f"\n[exit status {process.returncode}]"
            texts.append(f"$ {step.command} &\n{cut_middle(text, step.output_limit)}{ended}")
        return "\n\n".join(texts)

    async def stop(self) -> None:
        """End all commands, whatever they are doing."""
        for _, process, task in self._commands:
            await end_group(process)
            await asyncio.wait({task}, timeout=1.0)
            task.cancel()
        self._commands.clear()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "stdout is a pipe"
        while data := await process.stdout.read(65_536):
            self._outputs[process.pid] = (self._outputs[process.pid] + data)[-_KEEP:]

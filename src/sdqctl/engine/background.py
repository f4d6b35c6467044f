"""RUN-ASYNC: commands that work beside the run and end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdqctl.engine.shell import Command, cut_middle
from sdqctl.model.workflow import RunStep

_KEEP = 64 * 1024
"""Bytes that are kept of what a command said since it was last asked."""


@dataclass
class _Working:
    step: RunStep
    output: bytes = b""
    reported: bool = False

    def take(self, data: bytes) -> None:
        self.output = (self.output + data)[-_KEEP:]

    def report(self, exit_status: int | None) -> str:
        """What it said since the last report, and its exit status when it ended."""
        data, self.output = self.output, b""
        self.reported = exit_status is not None
        lines = [f"$ {self.step.command} &"]
        if text := data.decode("utf-8", "replace").rstrip("\n"):
            lines.append(cut_middle(text, self.step.output_limit))
        if exit_status is not None:
            lines.append(f"[exit status {exit_status}]")
        return "\n".join(lines)


class Background:
    """The background commands of one run."""

    def __init__(self, *, cwd: Path, environment: Mapping[str, str]) -> None:
        self._cwd = cwd
        self._environment = environment
        self._working: list[tuple[_Working, Command, asyncio.Task[int]]] = []

    async def start(self, step: RunStep, wrapper: Sequence[str]) -> None:
        """Start a command, with `wrapper` before its arguments.

        Raises StepError when its folder is not there.
        """
        working = _Working(step)
        command = await Command.start(
            step,
            working.take,
            cwd=self._cwd,
            environment=self._environment,
            wrapper=wrapper,
        )
        self._working.append((working, command, asyncio.create_task(command.wait())))

    def output(self) -> str:
        """What the commands said since they were last asked, each under its command.

        One that ended is reported once more, with its exit status, and then no longer.
        """
        reports = []
        for working, command, waiting in self._working:
            if not working.reported:
                reports.append(working.report(command.exit_status if waiting.done() else None))
        return "\n\n".join(reports)

    async def stop(self) -> None:
        """End all commands, whatever they are doing."""
        working, self._working = self._working, []
        try:
            await asyncio.gather(*(command.end() for _, command, _ in working))
            await asyncio.gather(*(waiting for _, _, waiting in working))
        finally:
            for _, command, waiting in working:
                command.kill()
                waiting.cancel()

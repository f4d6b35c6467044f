"""RUN-ASYNC: commands that work beside the run and end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.engine.command.process import Command, cut_middle
from sdqctl.model.sandbox import Sandbox
from sdqctl.model.workflow import RunStep
from sdqctl.store.evidence import Evidence, Output

_SHOWN = 64 * 1024
"""Bytes that are shown of what a command said since it was last asked."""
_ALL = -1


@dataclass
class _Working:
    step: RunStep
    evidence: Evidence
    command: Command | None = None
    """None for one that ended with an earlier process."""
    waiting: asyncio.Task[int] | None = None
    told: int = field(init=False)
    is_settled: bool = False
    """Whether its end is known, or it is being ended."""

    def __post_init__(self) -> None:
        self.told = self.evidence.told

    def report(self) -> tuple[str, int]:
        """What it said since the last report, how it ended if it did, and how far that goes."""
        end = self._end()
        output = self.evidence.output(self.told)
        lines = [f"$ {self.step.command} &"]
        if text := _newest(output).rstrip("\n"):
            lines.append(cut_middle(text, self.step.output_limit))
        elif end is not None and self.command is None and self.evidence.ended is None:
            return "", _ALL
        if end is not None:
            lines.append(f"[{end}]")
        return "\n".join(lines), output.end if end is None else _ALL

    def _end(self) -> str | None:
        status = self.evidence.ended
        if self.waiting is not None and self.waiting.done() and self.command is not None:
            status = self.command.exit_status if status is None else status
        if status is not None:
            return f"exit status {status}"
        return "ended with the process that had started it" if self.command is None else None


class Background:
    """The background commands of one run."""

    def __init__(
        self,
        *,
        cwd: Path,
        environment: Mapping[str, str],
        sandbox: Sandbox,
        failed: Callable[[str], None],
    ) -> None:
        """`failed` is told of each command that ends by itself, and not well."""
        self._failed = failed
        self._cwd = cwd
        self._sandbox = sandbox
        self._environment = environment
        self._working: list[_Working] = []
        self._told: list[tuple[_Working, int]] = []

    async def start(self, step: RunStep, evidence: Evidence) -> None:
        """Start a command. Raises StepError when its working directory is not there."""
        command = await Command.start(
            step,
            evidence,
            cwd=self._cwd,
            environment=self._environment,
            sandbox=self._sandbox,
        )
        waiting = asyncio.create_task(command.wait())
        working = _Working(step, evidence, command, waiting)
        waiting.add_done_callback(lambda _: self._tell(working))
        self._working.append(working)

    def adopt(self, step: RunStep, evidence: Evidence) -> None:
        """Report what a command had to say that ended with, or before, an earlier process."""
        self._working.append(_Working(step, evidence))

    def output(self) -> str:
        """What the commands said since `confirm` was last called, each under its command.

        One that ended is reported once more, with its exit status, and then no longer.
        """
        reports = []
        self._told = []
        for working in self._working:
            if working.told != _ALL:
                text, position = working.report()
                reports.append(text)
                self._told.append((working, position))
        return "\n\n".join(text for text in reports if text)

    def confirm(self) -> None:
        """The last output is recorded, so it is reported no second time. Raises StoreError."""
        told, self._told = self._told, []
        for working, position in told:
            working.told = position
            working.evidence.note_told(position)

    async def stop(self) -> None:
        """End all commands, whatever they are doing."""
        working, self._working = self._working, []
        for one in working:
            self._tell(one)
        commands = [one.command for one in working if one.command is not None]
        waiting = [one.waiting for one in working if one.waiting is not None]
        try:
            await asyncio.gather(*(command.end() for command in commands))
            await asyncio.gather(*waiting)
        finally:
            for command in commands:
                command.kill()
            for task in waiting:
                task.cancel()

    def _tell(self, working: _Working) -> None:
        """Tell of a command that failed by itself, once."""
        if status := None if working.is_settled else working.evidence.ended:
            self._failed(f"RUN-ASYNC {working.step.command}: exit status {status}")
        working.is_settled = True


def _newest(output: Output) -> str:
    """The last part of an output, with a line where something is missing."""
    everything = output.head + output.tail
    over = len(everything) - _SHOWN
    if over <= 0:
        return output.text
    return Output(cut=output.cut + over, tail=everything[over:]).text

"""RUN steps whose end is known after a kill.

A command has no journal, so it gets a small one: a folder in which a wrapper marks that the
command was started, and with which status it ended. A step found begun without the first mark was
never started; one with the second ended; one between the two is the user's decision.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.engine.options import OnInterrupted
from sdqctl.engine.shell import format_output, run_command
from sdqctl.errors import StepError
from sdqctl.model.events import StepRecovered
from sdqctl.model.run import StepRecord
from sdqctl.model.workflow import PlannedStep, RunStep

if TYPE_CHECKING:
    from sdqctl.engine.steps import StepContext

_WRAPPER = (
    'folder=$1; shift; : > "$folder/started" || exit 125; "$@"; status=$?; '
    'printf %s "$status" > "$folder/ending" && mv "$folder/ending" "$folder/ended"; exit "$status"'
)


@dataclass(frozen=True)
class CommandEnd:
    """How a command ended, and what the model is told of it."""

    exit_status: int
    text: str


async def run_recorded(
    step: PlannedStep, action: RunStep, record: StepRecord | None, context: StepContext
) -> CommandEnd:
    """Run the command of a step, or find out how an earlier process's run of it ended.

    Raises StepError when it was cut off in the middle and may not be run again unasked.
    """
    folder = context.commands_folder / str(step.position)
    found = _earlier_end(step, action, record, context, folder)
    if found is not None:
        return found
    _prepare(folder)
    context.begin(step)
    argv = action.argv or ("/bin/sh", "-c", action.command)
    wrapped = ("/bin/sh", "-c", _WRAPPER, "sdqctl-run", str(folder), *argv)
    result = await run_command(
        msgspec.structs.replace(action, argv=wrapped),
        cwd=context.cwd,
        environment=context.environment,
    )
    return CommandEnd(
        result.exit_status, format_output(action.command, result, action.output_limit)
    )

"""RUN steps whose end is known after a kill.

A command has no journal, so it gets a small one: a folder in which a wrapper marks that the
command was started, and with which status it ended. A step found begun without the first mark was
never started; one with the last mark ended; between the two, and without the folder, the user
decides. The folder is known
by the step's digest, not by its position, which an edit of the workflow changes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.engine.options import OnInterrupted
from sdqctl.engine.shell import CommandResult, format_output, run_command
from sdqctl.errors import StepError, StoreError
from sdqctl.files import make_private_folder
from sdqctl.model.events import StepRecovered
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.workflow import PlannedStep, RunStep

if TYPE_CHECKING:
    from sdqctl.engine.steps import StepContext

_NAME = 16
_SCRIPT = (
    'folder=$1; shift; mask=$(umask); umask 077; : > "$folder/started" || exit 125; '
    'umask "$mask"; "$@"; status=$?; umask 077; '
    'printf %s "$status" > "$folder/ending" && mv "$folder/ending" "$folder/ended"; exit "$status"'
)


@dataclass(frozen=True)
class CommandEnd:
    """How a command ended, and what the model is told of it."""

    exit_status: int
    text: str


def found_end(
    step: PlannedStep, action: RunStep, record: StepRecord | None, context: StepContext
) -> CommandEnd | None:
    """How an earlier process's run of the command ended; None: it is to be run (again).

    Raises StepError when it was cut off in the middle and may not be run again unasked.
    """
    if record is None or record.status is not StepStatus.BEGUN:
        return None
    folder = _folder(step, context)
    ended = _status(folder)
    if ended is not None:
        text = format_output(action.command, CommandResult(ended, "[its output was lost]"), None)
        tell(step, context, "recorded", f"the command had ended with status {ended}")
        return CommandEnd(ended, text)
    if folder.exists() and not (folder / "started").exists():
        tell(step, context, "rerun", "the command had not been started; run now")
        return None
    if action.repeatable or context.options.on_interrupted is OnInterrupted.RESEND:
        tell(step, context, "rerun", "the command was cut off; run again")
        return None
    raise StepError(
        f"step {step.position}: `{action.command}` was cut off, and whether it took effect "
        "is not known",
        hint="run it again with `--on-interrupted resend`, or go on behind it with "
        f"`--from {step.position + 1}`",
    )


async def run_marked(step: PlannedStep, action: RunStep, context: StepContext) -> CommandEnd:
    """Run the command under the wrapper that leaves the marks."""
    result = await run_command(
        action,
        cwd=context.cwd,
        environment=context.environment,
        wrapper=marking_wrapper(step, context),
    )
    return CommandEnd(
        result.exit_status, format_output(action.command, result, action.output_limit)
    )


def commands_folder(home: Path, run_id: str) -> Path:
    """Where the marks of a run's commands lie."""
    return home / "commands" / run_id


def copy_marks(home: Path, run_id: str, new_id: str) -> None:
    """Let another run start from what is known of a run's commands."""
    old = commands_folder(home, run_id)
    if old.is_dir():
        shutil.copytree(old, commands_folder(home, new_id))


def has_ended(step: PlannedStep, context: StepContext) -> bool:
    """Whether the command came to its end, when it was last started."""
    return _status(_folder(step, context)) is not None


def marking_wrapper(step: PlannedStep, context: StepContext) -> tuple[str, ...]:
    """What is put before a command so that it leaves the marks."""
    return ("/bin/sh", "-c", _SCRIPT, "sdqctl-run", str(_folder(step, context)))


def clear_marks(step: PlannedStep, context: StepContext) -> None:
    """Make the folder of the marks anew, before the step is begun in the ledger."""
    folder = _folder(step, context)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        make_private_folder(folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error


def _folder(step: PlannedStep, context: StepContext) -> Path:
    return context.commands_folder / step.digest[:_NAME]


def _status(folder: Path) -> int | None:
    try:
        return int((folder / "ended").read_text("ascii"))
    except (OSError, ValueError):
        return None


def tell(step: PlannedStep, context: StepContext, action: str, message: str) -> None:
    """Say what was decided about a step that an earlier process had begun."""
    context.emit(
        StepRecovered(run_id=context.run_id, position=step.position, action=action, message=message)
    )

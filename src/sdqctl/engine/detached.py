"""Beginning a run in the background from another program than the command line: by its command.

A program with threads cannot fork a run off; the command does it, and tells what it began.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from sdqctl.engine.inputs import described, missing_inputs
from sdqctl.errors import SdqctlError, StepError
from sdqctl.model.options import RunOptions
from sdqctl.model.views.failure import ErrorView, FailureView
from sdqctl.model.views.run import DetachedView
from sdqctl.workflow import check_workflow

_MOST = 200
_PASSED_OVER = frozenset({"node_modules", "__pycache__"})


def begin(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> DetachedView:
    """Give `sdqctl ARGUMENTS --detach`, such as `run FILE`, in a folder; returns the run once it is
    under way. Raises the error that the command ended with.
    """
    command, *arguments = arguments
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sdqctl", command, "--detach", "--format", "json", *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout, type=DetachedView)
    raise failure_of(done.stderr)


def failure_of(told: bytes) -> SdqctlError:
    """The error that a command told on stderr, as `--format json` has it or in words."""
    for line in reversed(told.splitlines()):
        try:
            return error_of(msgspec.json.decode(line, type=ErrorView).error)
        except msgspec.MsgspecError:
            continue
    return StepError(told.decode("utf-8", "replace").strip() or "it ended without a word")


def error_of(failure: FailureView) -> SdqctlError:
    """The error that another process ended with."""
    error = SdqctlError(failure.message, hint=failure.hint)
    error.exit_code = failure.exit  # type: ignore[misc]
    error.code = failure.code  # type: ignore[misc]
    return error


def workflows_in(folder: Path) -> list[Path]:
    """The workflow files in a folder and below, the nearest first, but in hidden folders."""
    found: list[Path] = []
    level = [folder]
    while level and len(found) < _MOST:
        below: list[Path] = []
        for one in level:
            below += _scan(one, found)
        level = below
    return found[:_MOST]


def _scan(folder: Path, found: list[Path]) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    found += [path for path in entries if path.suffix == ".conv" and path.is_file()]
    for path in entries:
        hidden = path.name.startswith(".") or path.name in _PASSED_OVER
        if not hidden and not path.is_symlink() and path.is_dir():
            yield path


def inputs_wanted(path: Path) -> list[tuple[str, str]]:
    """The inputs of a workflow that have no value of their own: name, and what it is.

    Raises WorkflowError for one that cannot be run.
    """
    workflow = check_workflow(path, lambda warning: None)
    return [(one.name, described(one)) for one in missing_inputs(workflow, RunOptions())]

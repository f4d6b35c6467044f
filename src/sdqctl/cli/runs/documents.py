"""The document that a run's answers make, and the file it is written to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from sdqctl.cli.runs.variables import run_variables
from sdqctl.engine.results import answers, compose, write_whole
from sdqctl.errors import UsageError
from sdqctl.fs import FILE_MODE
from sdqctl.workflow.render import render_text

if TYPE_CHECKING:
    from sdqctl.cli.runs.launch import Start
    from sdqctl.engine.destinations import Destinations
    from sdqctl.model.run import StepRecord
    from sdqctl.model.workflow import OutputSettings


def document(begin: Start, steps: Sequence[StepRecord]) -> str:
    """The answers as OUTPUT-FORMAT, HEADER and FOOTER want them."""
    return compose(answers(steps), output_settings(begin))


def write_document(begin: Start, steps: Sequence[StepRecord]) -> Path | None:
    """Write the document to --output or OUTPUT-FILE; None when neither is given."""
    if begin.options.output_file is not None:
        path = begin.cwd / begin.options.output_file
    else:
        places = destinations(begin)
        place = places.output(run_variables(begin))
        if place is None:
            return None
        path = places.checked(place)
    write_whole(path, document(begin, steps))
    return path


def destinations(begin: Start) -> Destinations:
    """Where the workflow's own files may be written."""
    from sdqctl.adapters.registry import steering
    from sdqctl.engine.destinations import Destinations

    home = begin.ledger.database.path.parent
    return Destinations(begin.workflow, begin.cwd, steering=steering(), protected=(home,))


def event_log_stream(begin: Start) -> BinaryIO:
    """The file of EVENT-LOG, to add to; a new one is for its owner alone.

    Raises WorkflowError for a place that may not be written, UsageError when it cannot be.
    """
    places = destinations(begin)
    place = places.event_log(run_variables(begin))
    assert place is not None, "asked for by the workflow"
    path = places.checked(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, FILE_MODE), "ab")
    except OSError as error:
        raise UsageError(f"EVENT-LOG {path} cannot be written: {error.strerror}") from error


def output_settings(begin: Start) -> OutputSettings:
    """The workflow's output settings, with the variables of HEADER and FOOTER filled in."""
    output, variables = begin.workflow.output, run_variables(begin)
    filled = {
        name: render_text(value, variables)
        for name in ("header", "footer")
        if (value := getattr(output, name)) is not None
    }
    return msgspec.structs.replace(output, **filled)

"""The document that a run's answers make, and the files that a run writes to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from sdqctl.adapters.registry import steering
from sdqctl.engine.context import RunContext
from sdqctl.engine.destinations import Destinations
from sdqctl.engine.results import answers, compose, write_whole
from sdqctl.errors import UsageError
from sdqctl.fs import FILE_MODE, folder_without_links
from sdqctl.model.run import StepRecord
from sdqctl.model.workflow import OutputSettings
from sdqctl.workflow.render import render_text
from sdqctl.workspace.own import own_folder


def document(context: RunContext, steps: Sequence[StepRecord]) -> str:
    """The answers as OUTPUT-FORMAT, HEADER and FOOTER want them."""
    return compose(answers(steps), _output_settings(context))


def write_document(context: RunContext, steps: Sequence[StepRecord]) -> Path | None:
    """Write the document to the file of the options, else OUTPUT-FILE; None when neither is given.

    Raises StoreError, and WorkflowError for a place that may not be written.
    """
    typed = context.options.output_file
    if typed is not None:
        path = context.cwd / typed
    else:
        places = destinations(context)
        place = places.output(context.run_variables)
        if place is None:
            return None
        path = places.checked(place)
    write_whole(path, document(context, steps), links=typed is not None)
    return path


def named_outputs(context: RunContext) -> list[tuple[str, Path]]:
    """The files that a run writes to, each with what names it."""
    places, variables = destinations(context), context.run_variables
    typed = context.options.output_file
    output = places.output(variables) if typed is None else None
    found = [] if typed is None else [("--output", context.cwd / typed)]
    named = (place for place in (output, places.event_log(variables)) if place is not None)
    return [*found, *((place.directive, place.path) for place in named)]


def destinations(context: RunContext) -> Destinations:
    """Where the workflow's own files may be written."""
    home = context.setup.settings.home
    return Destinations(
        context.workflow,
        context.cwd,
        steering=steering(),
        protected=(home,),
        own=own_folder(home, context.cwd),
    )


def event_log_stream(context: RunContext) -> BinaryIO:
    """The file of EVENT-LOG, to add to; a new one is for its owner alone.

    Raises WorkflowError for a place that may not be written, UsageError when it cannot be.
    """
    places = destinations(context)
    place = places.event_log(context.run_variables)
    assert place is not None, "asked for by the workflow"
    path = places.checked(place)
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with folder_without_links(path.parent) as folder:
            return os.fdopen(os.open(path.name, flags, FILE_MODE, dir_fd=folder), "ab")
    except OSError as error:
        raise UsageError(f"EVENT-LOG {path} cannot be written: {error.strerror}") from error


def _output_settings(context: RunContext) -> OutputSettings:
    """The workflow's output settings, with the variables of HEADER and FOOTER filled in."""
    output, variables = context.workflow.output, context.run_variables
    filled = {
        name: render_text(value, variables)
        for name in ("header", "footer")
        if (value := getattr(output, name)) is not None
    }
    return msgspec.structs.replace(output, **filled)

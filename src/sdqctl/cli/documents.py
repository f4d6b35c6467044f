"""The document that a run's answers make, and the file it is written to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.conversation.render import render_text
from sdqctl.engine.results import answers, compose, write_whole

if TYPE_CHECKING:
    from sdqctl.cli.launching import Start
    from sdqctl.model.run import StepRecord
    from sdqctl.model.workflow import OutputSettings


def document(begin: Start, steps: list[StepRecord]) -> str:
    """The answers as OUTPUT-FORMAT, HEADER and FOOTER want them."""
    return compose(answers(steps), output_settings(begin))


def write_document(begin: Start, steps: list[StepRecord]) -> Path | None:
    """Write the document to --output or OUTPUT-FILE; None when neither is given."""
    output = output_settings(begin)
    wanted = begin.options.output_file or output.file
    if wanted is None:
        return None
    path = begin.cwd / (output.directory or "") / wanted
    write_whole(path, compose(answers(steps), output))
    return path


def output_settings(begin: Start) -> OutputSettings:
    """The workflow's output settings, with template variables filled in."""
    from sdqctl.cli.launching import run_variables

    output, variables = begin.workflow.output, run_variables(begin)
    filled = {
        name: render_text(value, variables)
        for name in ("file", "directory", "header", "footer")
        if (value := getattr(output, name)) is not None
    }
    return msgspec.structs.replace(output, **filled)

"""What a run leaves for its user: the answers, and the files that the workflow asks for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sdqctl.errors import StoreError
from sdqctl.fs import replace_without_links, writing
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.session import Usage
from sdqctl.model.views.workflow import AnswersView
from sdqctl.model.workflow import OutputSettings
from sdqctl.text.terminal import sanitize


def answers(steps: Sequence[StepRecord]) -> list[str]:
    """The agent's answers, in order."""
    done = (s for s in steps if s.kind == "prompt" and s.status is StepStatus.DONE)
    return [step.response or "" for step in done]


def total_usage(steps: Sequence[StepRecord]) -> Usage:
    """What all steps used together."""
    return sum((step.usage for step in steps), Usage())


def compose(texts: Sequence[str], output: OutputSettings) -> str:
    """The document that OUTPUT-FORMAT, HEADER and FOOTER make of the answers.

    Text in it drives no terminal that it is shown on.
    """
    if output.format == "json":
        document = AnswersView(header=output.header, answers=[*texts], footer=output.footer)
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
    parts = [output.header, *texts, output.footer]
    return sanitize("\n\n".join(part.rstrip("\n") for part in parts if part) + "\n")


def write_whole(path: Path, text: str, *, links: bool = True) -> None:
    """Write an output whole and at once, see `writing`; folders are made.

    `links` False: the path was found to have none, and there must be none still. Raises StoreError
    when the place cannot be written; an older file is untouched then.
    """
    try:
        if not links:
            replace_without_links(path, text.encode(), new_mode=0o666 & ~_umask())
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        with writing(path, mode=mode) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}",
            hint="the answers are kept: `sdqctl sessions show NAME --transcript`",
        ) from error


def _umask() -> int:
    """The process's umask; reading it means setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

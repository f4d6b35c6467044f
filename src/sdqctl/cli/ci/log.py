"""The log of a job: harmless, without secrets, on GitHub in groups and with annotations."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from sdqctl.cli.ci.findings import Finding
from sdqctl.cli.ci.workflow_commands import command, disarmed, is_github
from sdqctl.cli.output import begin_log, is_log, note, note_command
from sdqctl.model.events import Event, StepFinished, StepStarted
from sdqctl.store.redact import Redactor
from sdqctl.text.terminal import one_line

_MOST_NOTED = 50
"""Findings that are listed; GitHub shows ten of a kind a step."""


def begin_job_log(environment: Mapping[str, str]) -> None:
    """From now on all is written for the log of a job; GitHub is told what to mask in it."""
    redact = Redactor(environment)
    begin_log(lambda text: disarmed(redact(text)))
    if is_github(environment) and not _is_file(sys.stderr):
        for secret in sorted(redact.values):
            note_command(command("add-mask", secret))


def _is_file(stream: TextIO) -> bool:
    """Whether no runner reads what is written here: it is kept, and would be with its secrets."""
    return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)


class Groups:
    """Sinks that put what a step writes into a group that can be folded."""

    def __init__(self) -> None:
        self._open = False

    def begin(self, event: Event) -> None:
        """The first sink: open a group before anything of a step is written."""
        if isinstance(event, StepStarted):
            self.end()
            title = disarmed(one_line(f"step {event.path}, {event.kind}: {event.title}"))
            note_command(command("group", title))
            self._open = True

    def finish(self, event: Event) -> None:
        """The last sink: close it after all of a step was written."""
        if isinstance(event, StepFinished):
            self.end()

    def end(self) -> None:
        """Close the group that is open."""
        if self._open:
            note_command("::endgroup::")
            self._open = False


def groups_of(environment: Mapping[str, str]) -> Groups | None:
    """Groups, where the log is one of a job on GitHub."""
    return Groups() if is_log() and is_github(environment) else None


def annotate(findings: Iterable[Finding], environment: Mapping[str, str]) -> None:
    """One annotation a finding; a line each where the log is not GitHub's."""
    redact, github = Redactor(environment), is_github(environment)
    for one in [*findings][:_MOST_NOTED]:
        message = redact(one.message)
        if not github:
            note(f"{one.file}:{one.line}: {one.severity}: {one_line(message)}")
            continue
        note_command(
            command(
                one.severity,
                message,
                file=one.file,
                line=one.line,
                endLine=one.end_line,
                col=one.column,
                title=None if one.title is None else redact(one_line(one.title)),
            )
        )


def tell_end(status: str, message: str, environment: Mapping[str, str]) -> None:
    """An annotation of how the job ended, where GitHub shows any."""
    if is_github(environment) and message:
        kind = "notice" if status == "paused" else "error"
        redact = Redactor(environment)
        note_command(command(kind, redact(message), title=f"sdqctl: {status}"))

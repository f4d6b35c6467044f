"""The options that make a run a job of CI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from sdqctl.cli.options import store_option
from sdqctl.errors import UsageError
from sdqctl.fs import led_to

_Function = TypeVar("_Function", bound=Callable[..., object])
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run was asked for as a job of CI."""

    ci: bool = False
    state: Path | None = None
    state_recipients: tuple[str, ...] = ()
    store: str | None = None
    """The shared store; empty: the configured one."""
    summary: Path | None = None
    junit: Path | None = None
    answer: str | None = None
    comment: str | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files that it writes, by the flags that name them."""
        named = {"--state": self.state, "--summary": self.summary, "--junit": self.junit}
        return {flag: file for flag, file in named.items() if file is not None}

    @property
    def is_kept(self) -> bool:
        """Whether the session is kept for other machines."""
        return self.state is not None or self.store is not None

    @property
    def wanted(self) -> bool:
        """Whether anything of it was asked for."""
        return self != Job()


def job_of(flags: dict[str, object]) -> Job:
    """Take what is of the job out of a command's flags. Raises UsageError."""
    names = [field.name for field in fields(Job) if field.name in flags]
    given = {name: flags.pop(name) for name in names}
    led = {name: led_to(path) for name, path in given.items() if isinstance(path, Path)}
    job = Job(**cast("dict[str, Any]", {**given, **led}))
    if job.state is not None and job.store is not None:
        raise UsageError("--state and --store are two ways of one thing: give one")
    if job.state is None and job.state_recipients:
        raise UsageError("--state-recipient belongs to --state FILE")
    if not job.is_kept and job.answer is not None:
        raise UsageError(
            "--answer belongs to --state FILE or --store",
            hint="without them: `sdqctl resume NAME --answer VALUE`",
        )
    if job.comment is not None and job.answer is None:
        raise UsageError("--comment belongs to --answer")
    return job


_REPORT_OPTIONS = [
    click.option(
        "--ci",
        is_flag=True,
        help="The log of a CI job: no colours, no questions, groups and annotations on GitHub.",
    ),
    click.option("--summary", type=_FILE, metavar="FILE", help="Write how it ended, in markdown."),
    click.option("--junit", type=_FILE, metavar="FILE", help="Write each step as a test, in XML."),
]
_STATE_OPTIONS = [
    click.option(
        "--state",
        type=_FILE,
        metavar="FILE",
        help="Go on from the state in FILE if it is there, and keep it there after each step.",
    ),
    click.option(
        "--state-recipient",
        "state_recipients",
        multiple=True,
        metavar="AGE",
        help="Encrypt it for age1...; SDQCTL_STATE_KEY reads it.",
    ),
    store_option("Go on as the shared store has it, and publish each step."),
    click.option("--answer", metavar="VALUE", help="With --state or --store: answers an ASK."),
    click.option("--comment", metavar="TEXT", help="Why; kept with the answer."),
]


def report_options(function: _Function) -> _Function:
    """Add --ci, --summary and --junit."""
    for option in reversed(_REPORT_OPTIONS):
        function = option(function)
    return function


def state_options(function: _Function) -> _Function:
    """Add --state and what belongs to it."""
    for option in reversed(_STATE_OPTIONS):
        function = option(function)
    return function

"""What a queue holds of a run: all that a worker needs to begin it, and no permission."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from sdqctl.engine.component import component_variables
from sdqctl.errors import BundleError, UsageError
from sdqctl.model.modes import may_write
from sdqctl.model.options import RunOptions, decode_options, encode_options
from sdqctl.model.workflow import AskStep, ConsultStep, ForStep, PauseStep
from sdqctl.store.redact import Redactor
from sdqctl.workflow.calls import all_called, every_step
from sdqctl.workflow.format import whole_text
from sdqctl.workspace.git import Git
from sdqctl.workspace.repository import Repository, current_commit, find_repository

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.model.workflow import Workflow

_PERMISSIONS = ("allow_tools", "repository_tools", "allow_all_tools", "output_file", "sandbox")
"""Options that only the worker gives."""
_WAITING = AskStep | PauseStep | ConsultStep
_LONGEST = 2 * 1024**2


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a run starts from: a commit of a repository."""

    base: str
    url: str | None = None
    """None: it has no remote, and the store has the commit."""
    inside: str = ""
    """The working directory, from the top of the tree."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `options` are those that a run keeps; a worker's policy bounds its `mode`."""

    version: int = 1
    adapter: str
    name: str
    label: str
    """What it is called in lists: the component, or the session."""
    file: str
    """The workflow's file name."""
    text: str
    """The workflow, with its includes resolved."""
    called: dict[str, str] = {}
    """Those that it calls, so too, by their paths from its folder."""
    options: str
    model: str | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    variables: dict[str, str] = {}
    origin: Origin | None = None

    @property
    def digest(self) -> str:
        """What it is known by: another workflow or option is another one; another commit, or place
        in the batch, is not.
        """
        same = msgspec.structs.replace(self, origin=None, variables={})
        return hashlib.sha256(msgspec.json.encode(same)).hexdigest()


def job_of(context: RunContext, label: str, origin: Origin | None) -> Job:
    """What goes into the queue of a run that was prepared.

    Raises UsageError for what a queue cannot hold: secrets, files beside the workflow.
    """
    workflow, options = context.workflow, context.options
    _refuse_side_by_side(workflow, options.mode or workflow.mode)
    without: dict[str, Any] = dict.fromkeys(_PERMISSIONS)
    without |= {"allow_tools": (), "repository_tools": (), "allow_all_tools": False}
    without["component"] = ()  # of another place in the batch it would be another run
    job = Job(
        adapter=context.target.ref.adapter,
        name=context.target.name,
        label=label,
        file=Path(workflow.path).name,
        text=whole_text(workflow),
        called=dict(_called(workflow, workflow.path)),
        options=encode_options(msgspec.structs.replace(options, **without)),
        model=options.model,
        inputs=options.inputs,
        variables=component_variables(options),
        origin=origin,
    )
    _refuse_secrets(context, job)
    return job


def _refuse_side_by_side(workflow: Workflow, mode: str | None) -> None:
    """Raise UsageError for items that change files side by side: of a tree that two changed at once
    nobody could take back what one of them had half done.
    """
    for one in (workflow, *all_called(workflow)):
        loops = [step for step in every_step(one.steps) if isinstance(step, ForStep)]
        if may_write(mode) and any(loop.parallel is not None for loop in loops):
            raise UsageError(
                f"{one.path}: in a queue the items of FOR ... PARALLEL cannot change files",
                hint="leave PARALLEL out, or put in a run for each item: `sdqctl apply --queue`",
            )


def _called(workflow: Workflow, first: str, folder: str = "") -> Iterator[tuple[str, str]]:
    """The workflows that a workflow calls, by their paths from the folder of the first.

    Raises UsageError for one that cannot go along.
    """
    for one in workflow.called:
        place = os.path.normpath(os.path.join(folder, one.file))
        where = Path(os.path.dirname(os.path.realpath(one.caller)))
        outside = place.startswith("..") or os.path.isabs(place)
        if outside or where != Path(os.path.realpath(workflow.path)).parent:
            raise UsageError(
                f"{first}: CALL {one.file} leads out of the workflow's folder: a queue takes along "
                "what lies in it"
            )
        if any(isinstance(step, _WAITING) for step in every_step(one.workflow.steps)):
            raise UsageError(
                f"{first}: {one.file}, which it calls, waits for somebody (ASK, PAUSE or CONSULT): "
                "in a queue the called workflow would begin anew",
                hint="have the calling workflow ask",
            )
        yield place, whole_text(one.workflow)
        yield from _called(one.workflow, first, os.path.dirname(place))


def read_job(text: str) -> Job:
    """A job of the queue. Raises BundleError for one that is none, or of a newer sdqctl."""
    try:
        job = msgspec.json.decode(text, type=Job)
    except msgspec.MsgspecError as error:
        raise BundleError(f"the job cannot be read: {error}") from error
    if job.version != 1:
        raise BundleError("the job was made by a newer sdqctl", hint="update the workers")
    for name in job.called:
        if os.path.isabs(name) or ".." in Path(name).parts or "\0" in name:
            raise BundleError(f"the job calls what lies elsewhere: {name!r}")
    return job


def options_of_job(job: Job) -> RunOptions:
    """The options that a job asks for, without any permission but its mode."""
    options = decode_options(job.options)
    without: dict[str, Any] = dict.fromkeys(_PERMISSIONS)
    without |= {"allow_tools": (), "repository_tools": (), "allow_all_tools": False}
    return msgspec.structs.replace(
        options,
        adapter=job.adapter,
        model=job.model,
        inputs=job.inputs,
        component=tuple(job.variables.items()),
        **without,
    )


def origin_of(cwd: Path) -> tuple[Origin, Repository] | None:
    """The commit that is checked out around a folder; None without one."""
    repository = find_repository(cwd)
    base = current_commit(repository) if repository is not None else None
    if repository is None or base is None:
        return None
    git = Git(repository.top, {"GIT_DIR": str(repository.git_folder)})
    url = git.line("config", "--get", "remote.origin.url", ok=(0, 1)) or None
    inside = str(cwd.resolve().relative_to(repository.top))
    return Origin(base=base, url=_without_password(url), inside=inside), repository


def _without_password(url: str | None) -> str | None:
    if url is None or "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=user.partition(":")[0] + at + host))


def _refuse_secrets(context: RunContext, job: Job) -> None:
    text = msgspec.json.encode(job).decode()
    if len(text) > _LONGEST:
        raise UsageError(f"{job.file}: the workflow is too large for a queue")
    redact = Redactor(context.setup.environment)
    values = [value for pair in job.inputs for value in pair]
    found = [job.text, *job.called.values(), job.options, *values]
    if any(redact(one) != one for one in found):
        raise UsageError(
            f"{job.label}: the workflow or an option holds what looks like a secret, and a queue "
            "is read by others",
            hint="have the workers get it from their environment",
        )

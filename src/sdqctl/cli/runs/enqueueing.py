"""Runs that go into a queue instead, and waiting for their end. Knows no click."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, note, write_json
from sdqctl.cli.shared import open_store
from sdqctl.errors import BusyError, InterruptedRunError, SessionExistsError, UsageError
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.batch_report import Item
    from sdqctl.cli.runs.manner import Manner
    from sdqctl.fleet.database import Database
    from sdqctl.fleet.jobs import Job, Origin
    from sdqctl.model.options import RunOptions
    from sdqctl.model.views.queue import QueuedRunView
    from sdqctl.model.workflow import Workflow
    from sdqctl.workspace.repository import Repository

_POLL = 0.5
_LARGEST = 256 * 1024**2
"""Bytes of a commit with its history that the store keeps."""
_PATIENCE = 60.0
_PAUSED = 8


def check_named(workflow: Workflow, options: RunOptions) -> None:
    """Raise UsageError for a run without a name: put in again, it could not be found."""
    if options.session_name is None and workflow.session_name is None:
        raise UsageError(
            "a run in a queue needs a name, so that it is put in once",
            hint="give --session-name NAME, or write SESSION-NAME into the workflow",
        )


def enqueue_items(
    app: App,
    items: Sequence[Item],
    manner: Manner,
    taken: Mapping[str, SessionExistsError] = MappingProxyType({}),
) -> int:
    """Put runs into a queue; those that are there are not put in again. Returns the exit code.

    `taken`: the names that sessions here have, which are refused where the queue has no such run.
    Raises UsageError for what a queue cannot hold, BusyError when the time to wait is over.
    """
    from sdqctl.fleet.jobs import job_of
    from sdqctl.fleet.queue import has_run, make_queue

    display = manner.display
    if display.output_format == "jsonl":
        raise UsageError("--format jsonl is for runs that are done here")
    origins = _origins(items)
    jobs = []
    for item in items:
        origin = origins[item.context.cwd]
        jobs.append(job_of(item.context, item.label, origin[0] if origin else None))
    if display.dry_run:
        note(f"{counted(len(jobs), 'run')} would go into the queue")
        return 0
    with open_store(app, manner.queue, "--queue") as shared:
        database = shared.database
        make_queue(database)
        for job in jobs:
            if job.name in taken and not has_run(database, job):
                raise taken[job.name]
        for found in filter(None, origins.values()):
            _carry(database, *found)
        numbers = _put_in(database, jobs, manner)
        wait = max((item.context.options.wait for item in items), default=0.0)
        if not wait:
            if display.output_format == "json":
                write_json(_runs(database, numbers))
            return 0
        return _follow(database, numbers, manner, wait)


def _origins(items: Sequence[Item]) -> dict[Path, tuple[Origin, Repository] | None]:
    """The commit around each folder that a run works in."""
    from sdqctl.fleet.jobs import origin_of

    return {cwd: origin_of(cwd) for cwd in dict.fromkeys(item.context.cwd for item in items)}


def _put_in(database: Database, jobs: Sequence[Job], manner: Manner) -> list[int]:
    """Put jobs in, and say how many; returns the numbers of their runs."""
    from sdqctl.fleet.admission import Budget
    from sdqctl.fleet.queue import enqueue

    bounds = (manner.max_tokens, manner.max_cost)
    budget = None if bounds == (None, None) else Budget(*bounds)
    done = enqueue(database, jobs, tag=manner.tag, priority=manner.priority, budget=budget)
    if not manner.display.quiet:
        note(
            f"{counted(len(done.added), 'run')} put in, {len(done.again)} again, "
            f"{len(done.there)} there already"
        )
    return done.numbers


def _carry(database: Database, origin: Origin, repository: Repository) -> None:
    """Say what of the files stays here, and give the store a commit that has no remote."""
    from sdqctl.fleet.queue import get_base, put_base
    from sdqctl.workspace.git import Git
    from sdqctl.workspace.repository import read_configuration

    git = Git(repository.top, {"GIT_DIR": str(repository.git_folder)})
    looking = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    if read_configuration(repository.top).programs or git.run(*looking):
        note("warning: changes that are not committed do not go along")
    if origin.url is not None or get_base(database, origin.base) is not None:
        return
    with tempfile.TemporaryDirectory(prefix="sdqctl-") as folder:
        file = Path(folder) / "base"
        git.run("bundle", "create", "--quiet", file, "HEAD")
        if file.stat().st_size > _LARGEST:
            raise UsageError(
                "the repository has no remote, and is too large for the store",
                hint="give it a remote that the workers reach, and push",
            )
        put_base(database, origin.base, file.read_bytes())


def _follow(database: Database, numbers: Sequence[int], manner: Manner, wait: float) -> int:
    """Show how runs go until all have ended; returns the exit code that one machine would have."""
    import threading

    from sdqctl.fleet.queue import WAITING

    seen: dict[int, str] = {}
    deadline, never = time.monotonic() + wait, threading.Event()
    try:
        while True:
            runs = database.patiently(lambda: _runs(database, numbers), _PATIENCE, never)
            _show_changes(runs, seen, quiet=manner.display.quiet)
            going = [run for run in runs if run.status in (*WAITING, "held")]
            if not going:
                break
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{counted(len(going), 'run')} of {len(runs)} have not ended yet",
                    hint="they go on; give the command again to wait for them",
                )
            time.sleep(_POLL)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "not waited for any longer; the runs go on", hint="`sdqctl queue cancel` ends them"
        ) from error
    if manner.display.output_format == "json":
        write_json(runs)
    bad = [run for run in runs if run.status != "completed"]
    failed = next((run for run in bad if run.status != "paused"), None)
    if failed is not None:
        return failed.exit_code or 1
    return _PAUSED if bad else 0


def _runs(database: Database, numbers: Sequence[int]) -> list[QueuedRunView]:
    from sdqctl.fleet.control import queued_runs

    return queued_runs(database, numbers=numbers)


def _show_changes(runs: Sequence[QueuedRunView], seen: dict[int, str], *, quiet: bool) -> None:
    for run in runs:
        if seen.get(run.number) == run.status:
            continue
        seen[run.number] = run.status
        if not quiet or run.status == "failed":
            where = f" on {run.worker}" if run.status == "running" and run.worker else ""
            why = f": {run.message}" if run.message else ""
            note(one_line(f"{run.label}: {run.status}{where}{why}"))

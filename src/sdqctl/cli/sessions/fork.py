"""What `sessions fork`, `rename` and `keep` do. Knows no click."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from sdqctl.cli.output import note, write_line
from sdqctl.cli.sessions.list import all_entries
from sdqctl.errors import CapabilityError, SessionBusyError, SessionExistsError, UsageError
from sdqctl.model.session import SessionInfo, SessionRef, name_problem
from sdqctl.sessions.resolve import resolve_session
from sdqctl.store.locks import SessionLock
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter
    from sdqctl.cli.context import App
    from sdqctl.model.run import RunRecord
    from sdqctl.sessions.query import Entry
    from sdqctl.store.ledger import Ledger

_Result = TypeVar("_Result")


def fork_session(app: App, argument: str, name: str, at: str | None, adapter: str | None) -> None:
    """Copy a session under a new name, up to a place; the original stays as it is.

    Raises UsageError for a place that is not there, SessionExistsError for a name that is taken.
    """
    from sdqctl.adapters.base import Forks
    from sdqctl.sessions.fork import find_cut

    entry = _find(app, argument, name, adapter)
    info = entry.info
    with app.ledger() as ledger, SessionLock.acquire(app.settings.home, entry.ref):
        run = _workflow_run(ledger, entry.ref)
        steps = ledger.steps(run.id) if run else []
        turns = list(app.archive(info.adapter).turns(info.id))
        cut = find_cut(at, turns=turns, steps=steps, total=run.steps_total if run else 0)

        async def work(adapter: Adapter) -> SessionInfo:
            if not isinstance(adapter, Forks):
                raise CapabilityError(f"the {adapter.name} adapter does not fork sessions")
            return await adapter.fork_session(info.id, name, before_event=cut.before_event)

        copy = _with_adapter(app, info.adapter, work)
        ref = SessionRef(info.adapter, copy.id)
        ledger.record_session(ref, name=name, cwd=info.cwd, created_at=datetime.now(UTC))
        if run is not None:
            _copy_run(app, ledger, run, ref, name, cut.kept | cut.begun)
    write_line(one_line(name))
    kept = f"{len(cut.kept)} of {run.steps_total} steps done" if run else "no run to go on with"
    note(f"forked {one_line(info.label)} ({kept})")


def rename_session(app: App, argument: str, name: str, adapter: str | None) -> None:
    """Give a session another name, here and in its runtime.

    Raises SessionExistsError for a name that is taken, SessionBusyError for a session in use.
    """
    from sdqctl.adapters.base import Renames

    entry = _find(app, argument, name, adapter)
    with app.ledger() as ledger, SessionLock.acquire(app.settings.home, entry.ref):

        async def work(adapter: Adapter) -> None:
            if not isinstance(adapter, Renames):
                raise CapabilityError(f"the {adapter.name} adapter does not rename sessions")
            await adapter.rename_session(entry.info.id, name)

        _with_adapter(app, entry.info.adapter, work)
        ledger.rename_session(entry.ref, name)
    note(f"renamed {one_line(entry.info.label)} to {one_line(name)}")


def keep_session(app: App, argument: str, adapter: str | None, *, off: bool) -> None:
    """Protect a session from cleanup, or no longer."""
    entries = all_entries(app, adapter)
    info = resolve_session(argument, [entry.info for entry in entries])
    with app.ledger() as ledger:
        ledger.keep_session(SessionRef(info.adapter, info.id), keep=not off)
    state = "no longer kept" if off else "kept: cleanup leaves it alone"
    note(f"{one_line(info.label)} is {state}")


def _find(app: App, argument: str, new_name: str, adapter: str | None) -> Entry:
    """The session that is meant, if it is free and the new name is, too."""
    if problem := name_problem(new_name):
        raise UsageError(f"the session name {new_name!r} {problem}")
    entries = all_entries(app, adapter)
    info = resolve_session(argument, [entry.info for entry in entries])
    entry = next(e for e in entries if e.info is info)
    wanted = new_name.casefold()
    for other in all_entries(app, info.adapter):
        names = (other.info.id.casefold(), (other.info.name or "").casefold())
        if other.ref != entry.ref and wanted in names:
            raise SessionExistsError(
                f"a session named {other.info.label!r} exists already", hint="choose another name"
            )
    if entry.holder is not None:
        raise SessionBusyError(
            f"session {info.label!r} is in use by {entry.holder.describe()}",
            hint="end it there first",
        )
    return entry


def _workflow_run(ledger: Ledger, ref: SessionRef) -> RunRecord | None:
    runs = [run for run in ledger.runs_of(ref) if run.session_id == ref.id]
    return next((run for run in reversed(runs) if run.workflow_path is not None), None)


def _copy_run(
    app: App,
    ledger: Ledger,
    run: RunRecord,
    new: SessionRef,
    name: str,
    kept: frozenset[int],
) -> None:
    from sdqctl.store.evidence import copy_commands
    from sdqctl.store.transfer import cut_rows, moved, put_rows, take_rows

    old = SessionRef(run.adapter, run.session_id)
    rows = cut_rows(take_rows(ledger, old), run.id, kept)
    copy_commands(app.settings.home, run.id, rows.runs[0]["id"])
    rows = moved(rows, old_id=old.id, new=new, name=name, cwd=None, workflows={})
    with ledger.database.write("ledger.fork") as connection:
        put_rows(connection, rows)


def _with_adapter(app: App, name: str, work: Callable[[Adapter], Awaitable[_Result]]) -> _Result:
    async def play() -> _Result:
        async with app.adapter(name) as adapter:
            return await work(adapter)

    return asyncio.run(play())

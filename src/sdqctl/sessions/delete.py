"""Deleting sessions one by one: each under its lock, none that is in use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.adapters.base import Adapter, Purges, SessionArchive
from sdqctl.errors import SdqctlError, SessionBusyError, SessionNotFoundError
from sdqctl.model.session import SessionRef
from sdqctl.sessions.query import CLIENT, Entry
from sdqctl.store.evidence import remove_commands_of, remove_forgotten_commands
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.store.workflows import remove_unused


@dataclass
class Deletion:
    """What happened. `failed` are the sessions that are still there, with the error."""

    deleted: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, SdqctlError]] = field(default_factory=list)


def spare(
    entries: Sequence[Entry],
    *,
    kept: Collection[SessionRef],
    unfinished: Collection[SessionRef],
    all_clients: bool,
    include_unfinished: bool,
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """Split what a cleanup deletes from what it leaves, with the reason.

    `unfinished` are the sessions that an unfinished run has been in.
    """
    going, staying = [], []
    for entry in entries:
        protected = "protected (`sessions keep`)" if entry.ref in kept else None
        open_run = entry.unfinished() or entry.ref in unfinished
        reason = protected or _reason_to_stay(
            entry, all_clients, include_unfinished or not open_run
        )
        if reason is None:
            going.append(entry)
        else:
            staying.append((entry, reason))
    return going, staying


async def delete_entries(
    entries: Sequence[Entry],
    *,
    home: Path,
    adapter: Adapter,
    archive: SessionArchive,
    ledger: Ledger,
    told: Callable[[Entry], None],
    save: Callable[[Entry], None] | None,
) -> Deletion:
    """Delete sessions of one adapter. One that fails does not stop the others.

    `save` puts each into the trash first; None removes also what the runtime keeps elsewhere.
    """
    result = Deletion()
    for entry in entries:
        try:
            await _delete(entry, home, adapter, archive, ledger, save)
        except SdqctlError as error:
            result.failed.append((entry, error))
        else:
            result.deleted.append(entry)
            told(entry)
    remove_forgotten_commands(home, ledger)
    return result


async def _delete(
    entry: Entry,
    home: Path,
    adapter: Adapter,
    archive: SessionArchive,
    ledger: Ledger,
    save: Callable[[Entry], None] | None,
) -> None:
    with SessionLock.acquire(home, entry.ref):
        holder = archive.holder(entry.info.id)
        if holder is not None:
            raise SessionBusyError(
                f"session {entry.info.label!r} is in use by {holder.describe()}",
                hint="end it there first",
            )
        if save is not None:
            save(entry)
        try:
            await adapter.delete_session(entry.info.id)
        except SessionNotFoundError:
            if archive.get(entry.info.id) is not None:
                raise
        if save is None and isinstance(adapter, Purges):
            await adapter.purge_session(entry.info.id)
        remove_commands_of(home, entry.ref, ledger)
        workflows = [run.workflow_path for run in ledger.runs_of(entry.ref)]
        ledger.forget_session(entry.ref)
        remove_unused(home, workflows, ledger)


def _reason_to_stay(entry: Entry, all_clients: bool, run_may_go: bool) -> str | None:
    if entry.holder is not None:
        return f"in use by {entry.holder.describe()}"
    if entry.info.is_remote:
        return "remote"
    if not all_clients and entry.info.client != CLIENT:
        return "not made by sdqctl (--all-clients)"
    if not run_may_go:
        return "its run is not finished (--include-unfinished)"
    return None

"""Deleting sessions one by one: each under its lock, none that is in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.adapters.base import Adapter, Purges, SessionArchive
from sdqctl.errors import SdqctlError, SessionBusyError, SessionNotFoundError
from sdqctl.sessions.entries import CLIENT, Entry
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock


@dataclass
class Deletion:
    """What happened. `failed` are the sessions that are still there, with the error."""

    deleted: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, SdqctlError]] = field(default_factory=list)


def spare(
    entries: Sequence[Entry], *, all_clients: bool, include_unfinished: bool
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """Split what a cleanup deletes from what it leaves, with the reason."""
    going, staying = [], []
    for entry in entries:
        reason = _reason_to_stay(entry, all_clients, include_unfinished)
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
    purge: bool = False,
) -> Deletion:
    """Delete sessions of one adapter. One that fails does not stop the others.

    `purge` removes what the runtime keeps of them elsewhere, too.
    """
    result = Deletion()
    for entry in entries:
        try:
            await _delete(entry, home, adapter, archive, ledger, purge)
        except SdqctlError as error:
            result.failed.append((entry, error))
        else:
            result.deleted.append(entry)
            told(entry)
    return result


async def _delete(
    entry: Entry,
    home: Path,
    adapter: Adapter,
    archive: SessionArchive,
    ledger: Ledger,
    purge: bool,
) -> None:
    with SessionLock.acquire(home, entry.ref):
        holder = archive.holder(entry.info.id)
        if holder is not None:
            raise SessionBusyError(
                f"session {entry.info.label!r} is in use by {holder.describe()}",
                hint="end it there first",
            )
        try:
            await adapter.delete_session(entry.info.id)
        except SessionNotFoundError:
            if archive.get(entry.info.id) is not None:
                raise
        if purge and isinstance(adapter, Purges):
            await adapter.purge_session(entry.info.id)
        ledger.forget_session(entry.ref)


def _reason_to_stay(entry: Entry, all_clients: bool, include_unfinished: bool) -> str | None:
    if entry.holder is not None:
        return f"in use by {entry.holder.describe()}"
    if entry.info.is_remote:
        return "remote"
    if not all_clients and entry.info.client != CLIENT:
        return "not made by sdqctl (--all-clients)"
    if not include_unfinished and entry.unfinished():
        return "its run is not finished (--include-unfinished)"
    return None

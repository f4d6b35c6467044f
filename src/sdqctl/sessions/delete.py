"""Deleting sessions: one by one, each under its lock, none that is in use or changed since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.adapters import registry
from sdqctl.adapters.base import Adapter, Purges, SessionArchive, find_power
from sdqctl.errors import (
    SdqctlError,
    SessionBusyError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.process import commit_point
from sdqctl.sessions.access import Access
from sdqctl.sessions.choosing import Choice
from sdqctl.sessions.query import Entry
from sdqctl.sessions.unsettled import forget_deleted
from sdqctl.store.evidence import remove_forgotten_commands
from sdqctl.store.intentions import unsettle
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.workspace.worktrees import Worktree


@dataclass
class Deletion:
    """What happened. `failed` are the sessions that are still there, `unsaved` those that went
    without a bundle in the trash, each with the error.
    """

    deleted: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, SdqctlError]] = field(default_factory=list)
    unsaved: list[tuple[Entry, SdqctlError]] = field(default_factory=list)
    spared: list[tuple[Entry, str]] = field(default_factory=list)
    """Those that stay because of what happened since they were chosen, with the reason."""
    stays: list[str] = field(default_factory=list)
    """Lines about what the runtimes still keep of the deleted ones."""
    worktrees: list[tuple[Worktree, str]] = field(default_factory=list)
    """Those of deleted sessions that stay, each with what would have been lost."""

    def raise_what_stays(self) -> None:
        """Raise the error for which something stays, or has no bundle in the trash."""
        for _, error in (*self.failed, *self.unsaved):
            raise error
        for entry, reason in self.spared:
            raise SessionBusyError(
                f"session {entry.info.label!r} was {reason}", hint="give the command again"
            )


def delete_entries(
    access: Access,
    choice: Choice,
    *,
    purge: bool = False,
    gone: Callable[[Entry], None] = lambda entry: None,
) -> Deletion:
    """Delete sessions; one that fails does not stop the others. `gone` is called for each.

    Each is looked at again under its lock: what was chosen may be too long ago, as a person was
    asked or thousands went before.

    They go into the trash; with `purge` they do not, and what the runtime keeps of them elsewhere
    is removed, too.
    """

    async def work() -> Deletion:
        result = Deletion()
        with access.ledger() as ledger:
            for name in sorted({entry.info.adapter for entry in choice.going}):
                async with access.adapter(name) as adapter:
                    await _delete_all(access, adapter, ledger, choice, result, purge, gone)
            remove_forgotten_commands(access.home, ledger)
        names = sorted({entry.info.adapter for entry in result.deleted})
        lines = (registry.entry(name).what_stays(purged=purge) for name in names)
        result.stays = [line for line in lines if line]
        return result

    return access.play(work())


async def _delete_all(
    access: Access,
    adapter: Adapter,
    ledger: Ledger,
    choice: Choice,
    result: Deletion,
    purge: bool,
    gone: Callable[[Entry], None],
) -> None:
    from sdqctl.sessions.transfer import export_bundle  # choosing does without
    from sdqctl.sessions.trash import trash_file

    archive = access.archive(adapter.name)

    def save(entry: Entry) -> Path | None:
        try:
            path = trash_file(access.home, entry.info)
            export_bundle(path, info=entry.info, archive=archive, ledger=ledger)
        except SessionUnusableError as error:  # without any file there is nothing to save
            result.unsaved.append((entry, error))
            return None
        return path

    for entry in choice.going:
        if entry.info.adapter != adapter.name:
            continue
        try:
            with SessionLock.acquire(access.home, entry.ref) as lock:
                if reason := choice.reason_to_stay(access, ledger, entry):
                    result.spared.append((entry, reason))
                    continue
                stays = await _delete(
                    entry, lock, access.home, adapter, archive, ledger, None if purge else save
                )
        except SdqctlError as error:
            result.failed.append((entry, error))
        else:
            result.worktrees += stays
            result.deleted.append(entry)
            gone(entry)


async def _delete(
    entry: Entry,
    lock: SessionLock,
    home: Path,
    adapter: Adapter,
    archive: SessionArchive,
    ledger: Ledger,
    save: Callable[[Entry], Path | None] | None,
) -> list[tuple[Worktree, str]]:
    """Delete one that is locked; without `save` also from what the runtime keeps elsewhere. Returns
    the worktrees that stay, each with what would be lost.
    """
    holder = archive.holder(entry.info.id)
    if holder is not None:
        raise SessionBusyError(
            f"session {entry.info.label!r} is in use by {holder.describe()}",
            hint="end it there first",
        )
    bundle = save(entry) if save is not None else None
    unsettle(ledger, entry.ref, bundle)
    lock.note_runtime(adapter.runtime_pid, adapter.runtime_mark)
    try:
        await adapter.delete_session(entry.info.id)
    except SessionNotFoundError:
        if archive.get(entry.info.id) is not None:
            raise
    commit_point("delete.deleted")
    purging = find_power(adapter, Purges) if save is None else None
    if purging is not None:
        await purging.purge_session(entry.info.id)
    return forget_deleted(home, ledger, entry.ref, bundle)

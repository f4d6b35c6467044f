"""Deleting sessions: which of them, then one by one, each under its lock, none that is in use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.adapters import registry
from sdqctl.adapters.base import Adapter, Purges, SessionArchive, find_power
from sdqctl.errors import (
    SdqctlError,
    SessionBusyError,
    SessionNotFoundError,
    SessionUnusableError,
    UsageError,
)
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import CLIENT, Entry, Query, all_entries, select, tree_of
from sdqctl.sessions.resolve import resolve_session
from sdqctl.sessions.rewind_log import RewindLog
from sdqctl.sessions.snapshots import forget, into_trash, keepers_of
from sdqctl.sessions.worktrees import loss_text
from sdqctl.store.evidence import remove_commands_of, remove_forgotten_commands
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock
from sdqctl.store.run_logs import remove_logs
from sdqctl.store.workflows import remove_unused
from sdqctl.workspace.worktrees import Worktree, remove_worktree, worktree_of


@dataclass
class Deletion:
    """What happened. `failed` are the sessions that are still there, `unsaved` those that went
    without a bundle in the trash, each with the error.
    """

    deleted: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, SdqctlError]] = field(default_factory=list)
    unsaved: list[tuple[Entry, SdqctlError]] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    """Lines about what the runtimes still keep of the deleted ones."""
    worktrees: list[tuple[Worktree, str]] = field(default_factory=list)
    """Those of deleted sessions that stay, each with what would have been lost."""


def choose_named(
    access: Access, names: Collection[str], query: Query, adapter: str | None = None
) -> list[Entry]:
    """The sessions of these whole names that a query means, of all without names; with all that
    their runs called.

    Raises UsageError when neither says anything, SessionNotFoundError, SessionAmbiguousError, and
    SessionBusyError when one of them is in use.
    """
    entries = all_entries(access, adapter)
    if names:
        infos = [entry.info for entry in entries]
        wanted = {id(resolve_session(name, infos, whole=True)) for name in names}
        named = [entry for entry in entries if id(entry.info) in wanted]
        _refuse_parts(named, entries)
    elif (query.pattern, query.older_than, query.newer_than) == (None, None, None):
        raise UsageError("say which sessions: names, --filter or --older-than")
    else:
        named = entries
    found = select(named, replace(query, children=False), datetime.now(UTC))
    chosen = [one for entry in found for one in tree_of(entry, entries)]
    for entry in chosen:
        if entry.holder is not None:
            raise SessionBusyError(
                f"session {entry.info.label!r} is in use by {entry.holder.describe()}",
                hint="end it there first; nothing was deleted",
            )
    return chosen


def _refuse_parts(named: Sequence[Entry], entries: Sequence[Entry]) -> None:
    """Raise UsageError for a session that another one has called: they go together."""
    for entry in named:
        if entry.parent is not None:
            outer = next(one for one in entries if one.ref == entry.parent)
            raise UsageError(
                f"session {entry.info.label!r} belongs to session {outer.info.label!r}, "
                "whose run calls it",
                hint="they are deleted together, by that name; nothing was deleted",
            )


def choose_old(
    access: Access,
    query: Query,
    adapter: str | None = None,
    *,
    all_clients: bool,
    include_unfinished: bool,
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """What a cleanup deletes of the sessions that a query means, and what it leaves, with the
    reason.
    """
    entries = all_entries(access, adapter)
    found = select(entries, replace(query, children=False), datetime.now(UTC))
    with access.ledger(read_only=True) as ledger:
        kept, unfinished = ledger.kept_sessions(), ledger.unfinished_sessions()
    going: list[Entry] = []
    staying: list[tuple[Entry, str]] = []
    for entry in found:  # one that stays keeps all that belong to it
        tree = tree_of(entry, entries)
        go, stay = spare(
            tree,
            kept=kept,
            unfinished=unfinished,
            all_clients=all_clients,
            include_unfinished=include_unfinished,
        )
        going += () if stay else go
        staying += stay
    return going, staying


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


def delete_entries(
    access: Access,
    entries: Sequence[Entry],
    *,
    purge: bool = False,
    gone: Callable[[Entry], None] = lambda entry: None,
) -> Deletion:
    """Delete sessions; one that fails does not stop the others. `gone` is called for each.

    They go into the trash; with `purge` they do not, and what the runtime keeps of them elsewhere
    is removed, too.
    """

    async def work() -> Deletion:
        result = Deletion()
        with access.ledger() as ledger:
            for name in sorted({entry.info.adapter for entry in entries}):
                async with access.adapter(name) as adapter:
                    chosen = [entry for entry in entries if entry.info.adapter == name]
                    await _delete_all(access, adapter, ledger, chosen, result, purge, gone)
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
    entries: Sequence[Entry],
    result: Deletion,
    purge: bool,
    gone: Callable[[Entry], None],
) -> None:
    from sdqctl.sessions.transfer import export_bundle  # choosing does without
    from sdqctl.sessions.trash import trash_file

    archive = access.archive(adapter.name)

    saved: dict[SessionRef, Path] = {}

    def save(entry: Entry) -> None:
        try:
            path = trash_file(access.home, entry.info)
            export_bundle(path, info=entry.info, archive=archive, ledger=ledger)
            saved[entry.ref] = path
        except SessionUnusableError as error:  # without any file there is nothing to save
            result.unsaved.append((entry, error))

    for entry in entries:
        keepers = keepers_of(ledger, entry.ref)
        try:
            await _delete(entry, access.home, adapter, archive, ledger, None if purge else save)
            _put_files_away(access.home, entry.ref, keepers, saved.get(entry.ref), result)
        except SdqctlError as error:
            result.failed.append((entry, error))
        else:
            result.deleted.append(entry)
            gone(entry)


def _put_files_away(
    home: Path, ref: SessionRef, keepers: set[str], bundle: Path | None, result: Deletion
) -> None:
    """What there is of the files of a session that went: its snapshots and what rewinds kept go
    with its bundle, worktrees only when nothing in them would be lost.
    """
    rewinds = RewindLog.of(home, ref)
    if bundle is None:
        forget(keepers, ref)
        rewinds.remove_all()
    else:
        into_trash(keepers, ref, bundle)
        rewinds.move(RewindLog.of_deleted(bundle))
    for worktree in worktree_of(home, ref):
        if lost := loss_text(home, worktree):
            result.worktrees.append((worktree, lost))
        else:
            remove_worktree(home, worktree)


async def _delete(
    entry: Entry,
    home: Path,
    adapter: Adapter,
    archive: SessionArchive,
    ledger: Ledger,
    save: Callable[[Entry], None] | None,
) -> None:
    """Delete one; without `save` also from what the runtime keeps elsewhere."""
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
        purging = find_power(adapter, Purges) if save is None else None
        if purging is not None:
            await purging.purge_session(entry.info.id)
        remove_commands_of(home, entry.ref, ledger)
        runs = ledger.runs_of(entry.ref)
        workflows = [run.workflow_path for run in runs]
        ledger.forget_session(entry.ref)
        remove_logs(home, [run.id for run in runs if run.session_id == entry.ref.id])
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

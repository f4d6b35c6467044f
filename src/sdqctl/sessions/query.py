"""Sessions as users see them: what lies on disk, joined with the ledger and the locks."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from sdqctl.errors import UsageError
from sdqctl.model.run import CalledRun, RunRecord, RunStatus
from sdqctl.model.session import Holder, SessionInfo, SessionRef, SessionStatus, folded
from sdqctl.project import project_folder
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.store.calls import sessions_of_trees
from sdqctl.store.intentions import copies_begun, half_copy, original_of
from sdqctl.store.locks import holders

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.model.views.session import SessionView
    from sdqctl.store.ledger import Ledger

CLIENT = "sdqctl"


class Records(Protocol):
    """What is read of the ledger."""

    def last_runs(self) -> Mapping[SessionRef, RunRecord]: ...

    def session_names(self) -> Mapping[SessionRef, str]: ...

    def kept_sessions(self) -> Collection[SessionRef]: ...


class Listed(Protocol):
    """What is read of an archive, or of a runtime that is asked."""

    def sessions(self) -> Iterable[SessionInfo]: ...

    def holder(self, session_id: str) -> Holder | None: ...


@dataclass(frozen=True)
class Entry:
    """One session with its state."""

    info: SessionInfo
    status: SessionStatus
    holder: Holder | None
    run: RunRecord | None
    tokens: int | None = None
    """What its runs used; None when that was not asked for."""
    kept: bool = False
    """Whether cleanup leaves it alone."""
    parent: SessionRef | None = None
    """The session whose run calls a run of it, where that is there."""
    children: int = 0
    """How many sessions its runs have called, and those again."""
    turns: int | None = None
    """How many turns it has, of one that is not on this machine."""
    copy_of: SessionRef | None = None
    """The session of which it is a copy that is not whole."""

    @property
    def ref(self) -> SessionRef:
        """Which session."""
        return SessionRef(self.info.adapter, self.info.id)

    @property
    def known_by(self) -> tuple[str, str]:
        """What it has in common with the same session on another machine."""
        return self.info.adapter, folded(self.info.id)

    @property
    def modified(self) -> datetime | None:
        """When it was last changed, else when it began."""
        return self.info.modified_time or self.info.start_time

    def unfinished(self) -> bool:
        """Whether a run of it has something left to do."""
        return self.run is not None and self.run.status.unfinished

    def has_snapshots(self) -> bool:
        """Whether the files were kept as they were after the steps of its run."""
        return self.run is not None and self.run.keeper is not None


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which sessions are wanted. Ages are seconds; `here` is a folder of a project."""

    pattern: str | None = None
    status: str | None = None
    here: Path | None = None
    repository: str | None = None
    branch: str | None = None
    older_than: float | None = None
    newer_than: float | None = None
    sort: str = "-modified"
    limit: int | None = None
    children: bool = True
    """Whether sessions stand by themselves that the run of another one called."""


def all_entries(
    access: Access,
    adapter: str | None = None,
    *,
    with_tokens: bool = False,
    asked: Callable[[str], None] = lambda name: None,
) -> list[Entry]:
    """Every session on disk, with its state, and with the tokens that its runs used.

    Where a runtime keeps them in a way that is not known here, the runtime itself is asked;
    `asked` is called with its name.
    """
    archives: list[Listed] = []
    for name, archive in access.archives(adapter).items():
        if archive.layout_is_unknown():
            asked(name)
            archives.append(_AskedRuntime(access, archive))
        else:
            archives.append(archive)
    with access.ledger(read_only=True) as ledger:
        entries = read_entries(archives, ledger, holders(access.home))
        entries = _with_parents(entries, dict(sessions_of_trees(ledger)))
        entries = _with_originals(entries, ledger)
        if not with_tokens:
            return entries
        from sdqctl.store.usage import tokens_by_session  # a list without them does without

        tokens = tokens_by_session(ledger)
        return [replace(entry, tokens=tokens.get(entry.ref, 0)) for entry in entries]


class _AskedRuntime:
    """The sessions that a runtime reports of itself, through its SDK."""

    def __init__(self, access: Access, archive: SessionArchive) -> None:
        self._access = access
        self._archive = archive

    def sessions(self) -> list[SessionInfo]:
        """All of them; starts the runtime."""

        async def ask(adapter: Adapter) -> list[SessionInfo]:
            return list(await adapter.list_sessions())

        return with_adapter(self._access, self._archive.name, ask)

    def holder(self, session_id: str) -> Holder | None:
        """The process that has it open."""
        return self._archive.holder(session_id)


def read_entries(
    archives: Iterable[Listed],
    records: Records,
    lock_holder: Callable[[SessionRef], Holder | None],
) -> list[Entry]:
    """All sessions of the archives, in no order."""
    runs, names, kept = records.last_runs(), records.session_names(), records.kept_sessions()
    entries = []
    for archive in archives:
        for info in archive.sessions():
            ref = SessionRef(info.adapter, info.id)
            holder = lock_holder(ref) or archive.holder(info.id)
            entries.append(_entry(info, holder, runs.get(ref), names.get(ref), kept=ref in kept))
    return entries


def renewed(entry: Entry, archive: SessionArchive, ledger: Ledger) -> Entry:
    """A session as it is now, for who holds its lock; as it was where it cannot be read alone."""
    info, only = archive.get(entry.info.id) or entry.info, [entry.ref]
    run, name = ledger.last_runs(only).get(entry.ref), ledger.session_names(only).get(entry.ref)
    now = _entry(info, archive.holder(info.id), run, name, kept=bool(ledger.kept_sessions(only)))
    return replace(now, parent=entry.parent, children=entry.children)


def _entry(
    info: SessionInfo, holder: Holder | None, run: RunRecord | None, name: str | None, *, kept: bool
) -> Entry:
    """A session, with the name that the ledger has for one that has none."""
    if info.name is None and name is not None:
        info = msgspec.structs.replace(info, name=name, client=info.client or CLIENT)
    return standing(Entry(info, SessionStatus.IDLE, None, None, kept=kept), holder, run)


def standing(entry: Entry, holder: Holder | None, last: RunRecord | None) -> Entry:
    """A session with how it stands, by who has it open and its last run."""
    run = effective_status(last, holder) if last is not None else None
    return replace(entry, status=status_of(run, holder), holder=holder, run=run)


def _with_parents(entries: list[Entry], parents: Mapping[SessionRef, SessionRef]) -> list[Entry]:
    """The entries with what called them, and how many they called."""
    if not parents:
        return entries
    there = {entry.ref for entry in entries}
    known = {ref: parent for ref, parent in parents.items() if {ref, parent} <= there}
    counts = Counter(outer for ref in known for outer in _above(ref, known))
    return [
        replace(entry, parent=known.get(entry.ref), children=counts[entry.ref]) for entry in entries
    ]


def _with_originals(entries: list[Entry], ledger: Ledger) -> list[Entry]:
    """The entries; copies that are not whole with what they are copies of."""
    begun = copies_begun(ledger)
    if not begun:
        return entries
    labels = {entry.ref: entry.info.label for entry in entries}
    found = []
    for entry in entries:
        original = original_of(entry.info, begun)
        if original is not None:
            damage = half_copy(entry.info, labels.get(original, original.id)).message
            info = msgspec.structs.replace(entry.info, damage=damage)
            entry = replace(entry, info=info, copy_of=original)
        found.append(entry)
    return found


def _above(ref: SessionRef, parents: Mapping[SessionRef, SessionRef]) -> Iterator[SessionRef]:
    """The sessions above one, up to the outermost one."""
    seen = {ref}
    while (outer := parents.get(ref)) is not None and outer not in seen:
        seen.add(outer)
        yield (ref := outer)


def tree_of(entry: Entry, entries: Iterable[Entry]) -> list[Entry]:
    """A session and all that its runs called, and those again."""
    found, refs = [entry], {entry.ref}
    pending = [one for one in entries if one.parent is not None]
    while inner := [one for one in pending if one.parent in refs and one.ref not in refs]:
        found += inner
        refs |= {one.ref for one in inner}
    return found


def select(entries: Iterable[Entry], query: Query, now: datetime) -> list[Entry]:
    """The entries that a query means, in its order. Raises UsageError for an unknown field."""
    if query.here is not None:
        query = replace(query, here=project_folder(query.here))
    found = [entry for entry in entries if _wanted(entry, query, now)]
    field = query.sort.removeprefix("-")
    if field not in _SORTS:
        raise UsageError(f"--sort {field}: the fields are {', '.join(_SORTS)}")
    found.sort(key=_SORTS[field], reverse=query.sort.startswith("-"))
    return found[: query.limit] if query.limit is not None else found


def count_wanted(entries: Iterable[Entry], query: Query, now: datetime) -> int:
    """How many entries a query means, whatever its order and limit."""
    return sum(_wanted(entry, query, now) for entry in entries)


def session_views(access: Access, entries: list[Entry]) -> list[SessionView]:
    """Sessions as JSON shows them, with their turns counted, and without secrets."""
    archives = access.archives()
    entries = _without_secrets(access, entries)
    return [
        session_view(entry, _turns(entry, archives.get(entry.info.adapter))) for entry in entries
    ]


def _turns(entry: Entry, archive: SessionArchive | None) -> int | None:
    if entry.turns is not None or archive is None:
        return entry.turns
    return archive.count_turns(entry.info.id)


def _without_secrets(access: Access, entries: list[Entry]) -> list[Entry]:
    """Their summaries are the beginnings of prompts. All are looked through at once."""
    from sdqctl.store.redact import Redactor  # a table shows no summaries

    redact = Redactor(access.environment)
    texts = [entry.info.summary or "" for entry in entries]
    clean = redact("\0".join(texts)).split("\0")
    if clean == texts:
        return entries
    if len(clean) != len(texts):
        clean = [redact(text) for text in texts]
    return [
        replace(entry, info=msgspec.structs.replace(entry.info, summary=summary or None))
        for entry, summary in zip(entries, clean, strict=True)
    ]


def session_view(entry: Entry, turns: int | None) -> SessionView:
    """A session as `sessions list --format json` has it."""
    from sdqctl.model.views.session import SessionView

    return SessionView(**view_fields(entry), turns=turns)


def view_fields(entry: Entry) -> dict[str, Any]:
    """The fields that every view of a session has, but for its turns."""
    from sdqctl.model.views.run import RunView

    info = entry.info
    return {
        "id": info.id,
        "name": info.name,
        "adapter": info.adapter,
        "start_time": info.start_time,
        "modified_time": info.modified_time,
        "summary": info.summary,
        "is_remote": info.is_remote,
        "status": entry.status,
        "in_use": entry.holder is not None,
        "kept": entry.kept,
        "parent": None if entry.parent is None else entry.parent.id,
        "children": entry.children,
        "client": info.client,
        "model": info.model or (entry.run.model if entry.run else None),
        "cwd": info.cwd,
        "repository": info.repository,
        "branch": info.branch,
        "tokens": entry.tokens,
        "damage": info.damage,
        "run": RunView.of(entry.run) if entry.run else None,
    }


def effective_status(run: RunRecord, holder: Holder | None) -> RunRecord:
    """A run that was left running by a process that is gone was interrupted."""
    if run.status is not RunStatus.RUNNING or holder is not None:
        return run
    return msgspec.structs.replace(run, status=RunStatus.INTERRUPTED)


def effective_tree(tree: CalledRun, holder: Holder | None) -> CalledRun:
    """A run with what it calls; nothing that is called goes on while nobody drives the run."""
    run = effective_status(tree.run, holder)
    called = tuple(effective_tree(one, holder) for one in tree.called)
    return msgspec.structs.replace(tree, run=run, called=called)


def status_of(run: RunRecord | None, holder: Holder | None) -> SessionStatus:
    """What a session is doing, by its last run and by who has it open."""
    if holder is not None:
        return SessionStatus.RUNNING
    return SessionStatus(run.status.value) if run else SessionStatus.IDLE


def _wanted(entry: Entry, query: Query, now: datetime) -> bool:
    info = entry.info
    return (
        (query.children or entry.parent is None)
        and (query.pattern is None or matches(entry, query.pattern))
        and (query.status is None or entry.status == query.status)
        and (query.here is None or _is_below(info.cwd, query.here))
        and (query.repository is None or info.repository == query.repository)
        and (query.branch is None or info.branch == query.branch)
        and (query.older_than is None or _age(entry, now) > query.older_than)
        and (query.newer_than is None or _age(entry, now) <= query.newer_than)
    )


def matches(entry: Entry, pattern: str) -> bool:
    """Whether a glob means the name or the id of a session."""
    names = (entry.info.name, entry.info.id)
    return any(name is not None and fnmatch.fnmatchcase(name, pattern) for name in names)


def _is_below(cwd: str | None, folder: Path) -> bool:
    return cwd is not None and Path(cwd).is_relative_to(folder)


def _age(entry: Entry, now: datetime) -> float:
    """Seconds since the last change; a session without any time is as young as can be."""
    return (now - entry.modified) / timedelta(seconds=1) if entry.modified else 0.0


def _text(value: str | None) -> tuple[bool, str]:
    return value is None, (value or "").casefold()


def _when(value: datetime | None) -> float:
    return value.timestamp() if value else 0.0


_SORTS: dict[str, Callable[[Entry], Any]] = {
    "modified": lambda entry: _when(entry.modified),
    "started": lambda entry: _when(entry.info.start_time),
    "name": lambda entry: _text(entry.info.label),
    "status": lambda entry: entry.status.value,
    "adapter": lambda entry: entry.info.adapter,
    "cwd": lambda entry: _text(entry.info.cwd),
    "tokens": lambda entry: entry.tokens or 0,
}

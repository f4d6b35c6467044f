"""Which sessions are deleted: by name, or by age; and why one of them stays after all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from sdqctl.errors import SessionBusyError, UsageError
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import (
    CLIENT,
    Entry,
    Query,
    all_entries,
    matches,
    renewed,
    select,
    tree_of,
)
from sdqctl.sessions.resolve import resolve_session
from sdqctl.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Cleanup:
    """What a cleanup leaves alone of what is old enough."""

    all_clients: bool
    include_unfinished: bool

    def reason_to_stay(self, entry: Entry, unfinished: Collection[SessionRef]) -> str | None:
        """Why it leaves a session; `unfinished` are those that an unfinished run has been in."""
        if entry.kept:
            return "protected (`sessions keep`)"
        if entry.holder is not None:
            return f"in use by {entry.holder.describe()}"
        if entry.info.is_remote:
            return "remote"
        if not self.all_clients and entry.info.client != CLIENT:
            return "not made by sdqctl (--all-clients)"
        if not self.include_unfinished and (entry.unfinished() or entry.ref in unfinished):
            return "its run is not finished (--include-unfinished)"
        return None


@dataclass(frozen=True)
class Choice:
    """Sessions that are to go, by what was asked for."""

    going: list[Entry]
    _: KW_ONLY
    pattern: str | None = None
    """What the outermost ones have to be called."""
    unused: bool = False
    """Whether they go only as they were, since their age counted."""
    cleanup: Cleanup | None = None
    staying: list[tuple[Entry, str]] = field(default_factory=list)
    """What a cleanup leaves, with the reason."""
    _spared: dict[SessionRef, str] = field(default_factory=dict)
    """The outermost sessions of the trees that stay after all, with the reason."""
    _seen: set[SessionRef] = field(default_factory=set)

    def reason_to_stay(self, access: Access, ledger: Ledger, entry: Entry) -> str | None:
        """Why a session of `going` stays after all, by how it is now; one that stays keeps all
        that belong to it, unless they went before.
        """
        outer = self._outermost[entry.ref]
        tree = [entry] if outer in self._seen else self._trees[outer]
        self._seen.add(outer)
        for one in tree:
            if outer not in self._spared and (reason := self._changed(access, ledger, one)):
                self._spared[outer] = reason
        return self._spared.get(outer)

    def _changed(self, access: Access, ledger: Ledger, entry: Entry) -> str | None:
        now = renewed(entry, access.archive(entry.info.adapter), ledger)
        if self.unused and now.modified != entry.modified:
            return "used just now"
        if self.pattern is not None and entry.parent is None and not matches(now, self.pattern):
            return "renamed just now"
        if self.cleanup is None:
            return None
        return self.cleanup.reason_to_stay(now, ledger.unfinished_sessions([entry.ref]))

    @cached_property
    def _outermost(self) -> dict[SessionRef, SessionRef]:
        """The session at the top of the tree of each that goes; they stand before their own."""
        found: dict[SessionRef, SessionRef] = {}
        for entry in self.going:
            found[entry.ref] = found.get(entry.parent, entry.ref) if entry.parent else entry.ref
        return found

    @cached_property
    def _trees(self) -> dict[SessionRef, list[Entry]]:
        trees: dict[SessionRef, list[Entry]] = {}
        for entry in self.going:
            trees.setdefault(self._outermost[entry.ref], []).append(entry)
        return trees


def choose_named(
    access: Access, names: Collection[str], query: Query, adapter: str | None = None
) -> Choice:
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
    return Choice(chosen, pattern=query.pattern, unused=query.older_than is not None)


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
    access: Access, query: Query, cleanup: Cleanup, adapter: str | None = None
) -> Choice:
    """What a cleanup deletes of the sessions that a query means, and what it leaves."""
    entries = all_entries(access, adapter)
    found = select(entries, replace(query, children=False), datetime.now(UTC))
    with access.ledger(read_only=True) as ledger:
        unfinished = ledger.unfinished_sessions()
    choice = Choice([], pattern=query.pattern, unused=True, cleanup=cleanup)
    for entry in found:  # one that stays keeps all that belong to it
        tree = tree_of(entry, entries)
        reasons = [(one, cleanup.reason_to_stay(one, unfinished)) for one in tree]
        stay = [(one, reason) for one, reason in reasons if reason is not None]
        choice.staying.extend(stay)
        choice.going.extend(() if stay else tree)
    return choice

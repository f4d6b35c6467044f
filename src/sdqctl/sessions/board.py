"""All sessions by what they need, kept up with what other processes do to them.

Read whole once; after that only what changed is read: the ledger says which runs were written, and
of the sessions that somebody has open it is looked whether that process lives.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from sdqctl.model.run import RunRecord, RunStatus
from sdqctl.model.session import SessionRef
from sdqctl.model.tools import PermissionQuestion
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import Entry, all_entries, standing
from sdqctl.store.changes import Changes, made_by_us, runs_since
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import holder
from sdqctl.store.messages import open_questions
from sdqctl.store.usage import used_by_all

_CLOCK = timedelta(seconds=2)
"""How far back is looked for what was written at the moment of the last look."""
_FRESH = timedelta(days=7)
"""How long a run that failed or was interrupted asks for attention."""


_SUM_EVERY = 5.0
"""Seconds between sums over everything."""


class Group(StrEnum):
    """What a session needs."""

    NEEDS_YOU = "needs you"
    RUNNING = "running"
    RECENT = "recent"


@dataclass(frozen=True)
class Item:
    """A session on the board."""

    entry: Entry
    group: Group
    question: PermissionQuestion | None = None
    """The permission question that its run waits with."""


class Board:
    """The sessions of all adapters but those that others called. For one thread."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._ledger: Ledger | None = None
        self._items: dict[SessionRef, Item] = {}
        self._elsewhere: Sequence[Item] = ()
        self._made: set[SessionRef] = set()
        self._looked = datetime.now(UTC)
        self._spent, self._summed = (0, 0.0), -_SUM_EVERY

    def close(self) -> None:
        """Close the ledger."""
        if self._ledger is not None:
            self._ledger.close()

    def read(self) -> list[Item]:
        """All of them, read anew; in their groups, what needs the user first."""
        self.close()
        self._looked = datetime.now(UTC)
        self._ledger = self._access.ledger(read_only=True)
        self._changes = Changes(self._ledger)
        self._changes.seen()
        self._made = made_by_us(self._ledger)
        entries = all_entries(self._access)
        questions = self._questions()
        self._items = {
            entry.ref: _item(entry, questions.get(entry.ref), self._looked)
            for entry in entries
            if entry.parent is None
        }
        return self._sorted()

    def changed(self) -> list[Item] | None:
        """The same after looking at what changed; None when nothing did."""
        ledger = self._ledger
        if ledger is None:
            return self.read()
        now = datetime.now(UTC)
        if ledger.is_missing:
            return self.read()
        written = self._changes.seen()
        refs = runs_since(ledger, self._looked - _CLOCK) if written else set()
        own = {ref for ref in refs if ref in self._items}
        if written and (self._came_or_went(ledger) or self._is_news(ledger, refs - own)):
            return self.read()
        held = {ref for ref, item in self._items.items() if item.entry.holder is not None}
        news = self._look(ledger, own | held, own, written, now)
        if written:
            self._looked = now
        if not news:
            return None
        self._items |= news
        return self._sorted()

    def put_elsewhere(self, entries: Iterable[Entry]) -> list[Item]:
        """The same with sessions that live elsewhere, of which those are left out that are here."""
        now = datetime.now(UTC)
        self._elsewhere = [_item(entry, None, now) for entry in entries]
        return self._sorted()

    def spent(self) -> tuple[int, float]:
        """The tokens and the cost of all that is recorded, as of a while ago at most."""
        now = time.monotonic()
        if self._ledger is not None and now - self._summed > _SUM_EVERY:
            self._spent, self._summed = used_by_all(self._ledger), now
        return self._spent

    def _came_or_went(self, ledger: Ledger) -> bool:
        """Whether some were deleted or restored since the last look."""
        before, self._made = self._made, made_by_us(ledger)
        came = self._made - before - self._items.keys()
        return bool((before - self._made) & self._items.keys()) or any(
            self._access.archive(ref.adapter).get(ref.id) is not None for ref in came
        )

    def _is_news(self, ledger: Ledger, refs: Iterable[SessionRef]) -> bool:
        """Whether some are of sessions that are on disk by now and not called by others."""
        runs = ledger.last_runs([*refs])
        return any(
            run.parent_run is None and self._access.archive(ref.adapter).get(ref.id) is not None
            for ref, run in runs.items()
        )

    def _look(
        self,
        ledger: Ledger,
        refs: set[SessionRef],
        written: set[SessionRef],
        ledger_changed: bool,
        now: datetime,
    ) -> dict[SessionRef, Item]:
        """The sessions that are not as they were."""
        runs = ledger.last_runs([*written]) if written else {}
        questions = self._questions() if ledger_changed else None
        asked = set(questions or ()) | {r for r, i in self._items.items() if i.question}
        news = {}
        for ref in refs | (asked & self._items.keys() if ledger_changed else set()):
            old = self._items[ref]
            item = self._item_now(old, runs.get(ref, old.entry.run), ref in written, now)
            if questions is not None:
                question = questions.get(ref) if item.entry.holder is not None else None
                item = _item(item.entry, question, now)
            if item != old:
                news[ref] = item
        return news

    def _item_now(self, old: Item, run: RunRecord | None, written: bool, now: datetime) -> Item:
        entry = old.entry
        archive = self._access.archive(entry.info.adapter)
        who = holder(self._access.home, entry.ref) or archive.holder(entry.info.id)
        if written and (info := archive.get(entry.info.id)) is not None:
            named = msgspec.structs.replace(info, name=info.name or entry.info.name)
            entry = replace(entry, info=named)
        return _item(standing(entry, who, run), old.question, now)

    def _questions(self) -> Mapping[SessionRef, PermissionQuestion]:
        """The first question of each session, or of what it calls."""
        assert self._ledger is not None, "it was opened before"
        found: dict[SessionRef, PermissionQuestion] = {}
        for question in open_questions(self._ledger):
            run = self._ledger.run(question.run_id)
            while run is not None and run.parent_run is not None:
                run = self._ledger.run(run.parent_run)
            if run is not None:
                found.setdefault(SessionRef(run.adapter, run.session_id), question)
        return found

    def _sorted(self) -> list[Item]:
        items = [*self._items.values()]
        if self._elsewhere:
            here = {item.entry.known_by for item in items}
            items += [item for item in self._elsewhere if item.entry.known_by not in here]
        return sorted(items, key=_place)


def _item(entry: Entry, question: PermissionQuestion | None, now: datetime) -> Item:
    if question is not None and entry.holder is None:
        question = None
    return Item(entry, _group(entry, question, now), question)


def _group(entry: Entry, question: PermissionQuestion | None, now: datetime) -> Group:
    if question is not None:
        return Group.NEEDS_YOU
    if entry.holder is not None:
        return Group.RUNNING
    run = entry.run
    if run is None or not run.status.unfinished:
        return Group.RECENT
    fresh = now - run.updated_at < _FRESH
    waits = run.status is RunStatus.PAUSED
    return Group.NEEDS_YOU if waits or fresh else Group.RECENT


def _place(item: Item) -> tuple[int, float]:
    """By group; what runs stays where it is, of the others the last changed comes first."""
    entry = item.entry
    moment = entry.modified
    if item.group is Group.RUNNING and entry.run is not None:
        moment = entry.run.started_at
    return _ORDER[item.group], -(moment.timestamp() if moment else 0.0)


_ORDER = {group: place for place, group in enumerate(Group)}

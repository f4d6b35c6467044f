"""Which sessions are shown: what was searched for, and the filters that are set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sdqctl.model.session import SessionStatus
from sdqctl.sessions.access import Access
from sdqctl.sessions.board import Group, Item
from sdqctl.sessions.query import Entry, Query, select
from sdqctl.sessions.recent import Recent

AGES = {"1h": 3600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}


class View:
    """The items of the board that are wanted."""

    def __init__(self, access: Access, found: Callable[[], object]) -> None:
        """`found` is called, in another thread, when more was found."""
        self._access = access
        self._found = found
        self._recent: Recent | None = None
        self._of: Sequence[Item] = ()
        self.items: Sequence[Item] = ()
        self.typed = ""
        self.here = False
        self.status: str | None = None
        self.adapter: str | None = None
        self.age: str | None = None

    def close(self) -> None:
        """End the search."""
        if self._recent is not None:
            self._recent.__exit__(None, None, None)

    def clear(self) -> None:
        """No filter any more."""
        self.here, self.status, self.adapter, self.age = False, None, None, None

    @property
    def adapters(self) -> list[str]:
        """The agents that have sessions."""
        return sorted({item.entry.info.adapter for item in self.items})

    def shown(self) -> list[Item]:
        """Those that are wanted, in their order; of a search those found by name first."""
        items = self._filtered()
        if not self.typed.strip():
            return [*items]
        by_ref = {item.entry.ref: item for item in items}
        found = [by_ref[entry.ref] for entry in self._search() if entry.ref in by_ref]
        return sorted(found, key=lambda item: _ORDER[item.group])

    def _search(self) -> Sequence[Entry]:
        if self._recent is None:
            self._recent = Recent(self._access, [], self._found)
        if self._of is not self.items:
            self._of = self.items
            self._recent.replace([item.entry for item in self.items])
        return self._recent.found(self.typed)

    def _filtered(self) -> Sequence[Item]:
        if not (self.here or self.status or self.adapter or self.age):
            return self.items
        query = Query(
            status=self.status,
            here=self._access.directory if self.here else None,
            newer_than=AGES[self.age] if self.age else None,
        )
        wanted = {
            entry.ref
            for entry in select((item.entry for item in self.items), query, datetime.now(UTC))
        }
        return [
            item
            for item in self.items
            if item.entry.ref in wanted and self.adapter in (None, item.entry.info.adapter)
        ]

    def describe(self, tokens: int, cost: float) -> str:
        """Counts, what is filtered, and what all of it used."""
        counts = Counter(item.group for item in self.items)
        parts = [f"{len(self.items):,} session{'' if len(self.items) == 1 else 's'}"]
        if counts[Group.NEEDS_YOU]:
            parts.append(f"{counts[Group.NEEDS_YOU]} need you")
        if counts[Group.RUNNING]:
            parts.append(f"{counts[Group.RUNNING]} running")
        filters = [
            "this project" if self.here else None,
            self.status,
            self.adapter,
            f"last {self.age}" if self.age else None,
        ]
        if any(filters):
            parts.append("only " + ", ".join(one for one in filters if one) + " (Esc: all)")
        if self._recent is not None and self.typed.strip() and self._recent.is_searching():
            parts.append("searching …")
        if tokens:
            parts.append(f"{_short(tokens)} tokens")
        if cost:
            parts.append(f"cost {cost:,.2f}")
        return " " + " · ".join(parts)

    def choices(self) -> list[tuple[str, str]]:
        """The filters as choices: a name, and a text with a mark where it is set."""

        def marked(is_set: bool, text: str) -> str:
            return f"{'●' if is_set else '○'} {text}"

        return [
            ("all", "  all sessions"),
            ("here", marked(self.here, "of this project")),
            *((f"status {s}", marked(self.status == s, f"status: {s}")) for s in SessionStatus),
            *((f"agent {a}", marked(self.adapter == a, f"agent: {a}")) for a in self.adapters),
            *((f"age {a}", marked(self.age == a, f"changed in the last {a}")) for a in AGES),
        ]

    def toggle(self, name: str) -> None:
        """Set a filter, or take it away."""
        kind, _, value = name.partition(" ")
        if kind == "all":
            self.clear()
        elif kind == "here":
            self.here = not self.here
        elif kind == "status":
            self.status = None if self.status == value else value
        elif kind == "agent":
            self.adapter = None if self.adapter == value else value
        else:
            self.age = None if self.age == value else value


_ORDER = {group: place for place, group in enumerate(Group)}


def _short(number: int) -> str:
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)

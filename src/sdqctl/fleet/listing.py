"""Sessions that live elsewhere, as they stand in lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sdqctl.fleet.sharing import SharedStore
from sdqctl.fleet.states import Stored, stored_sessions
from sdqctl.sessions.query import Entry, effective_status, status_of


def with_stored(
    entries: Iterable[Entry], store: SharedStore, adapter: str | None = None
) -> list[Entry]:
    """The sessions of this machine, and those of a store that are not here, which are remote."""
    found = list(entries)
    here = {entry.known_by for entry in found}
    return found + [entry for entry in in_store(store, adapter) if entry.known_by not in here]


def in_store(store: SharedStore, adapter: str | None = None) -> Iterator[Entry]:
    """The sessions of a store, as remote ones."""
    return map(_entry, stored_sessions(store.database, adapter))


def _entry(stored: Stored) -> Entry:
    view = stored.view
    run = effective_status(view.run, stored.holder) if view.run is not None else None
    info = msgspec.structs.replace(
        view.info, name=stored.name, is_remote=True, modified_time=stored.published_at
    )
    return Entry(info, status_of(run, stored.holder), stored.holder, run, turns=view.turns)

"""The shared store that a command means, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sdqctl.cli.output import note
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.fleet.database import Database
    from sdqctl.fleet.sharing import SharedStore
    from sdqctl.sessions.query import Entry

_Result = TypeVar("_Result")


def with_stored(app: App, given: str, entries: list[Entry], adapter: str | None) -> list[Entry]:
    """The sessions of this machine, and those of the store that are not here."""
    from sdqctl.fleet.listing import with_stored

    with open_store(app, given) as store:
        return with_stored(entries, store, adapter)


def ask_queue(app: App, given: str | None, work: Callable[[Database], _Result]) -> _Result:
    """What a queue answers; its tables are made where they are not there."""
    from sdqctl.fleet.queue import make_queue

    with open_store(app, given) as store:
        make_queue(store.database)
        return work(store.database)


def make_tables(app: App, given: str | None) -> bool:
    """Make the tables of store and queue; whether any were missing."""
    from sdqctl.fleet.queue import make_queue

    with open_store(app, given) as store:
        return make_queue(store.database)


def open_store(app: App, given: str | None) -> SharedStore:
    """The store of `--store`, else the configured one, which is not asked anything yet.

    Raises UsageError for an address that is none, or that holds a password, RuntimeMissingError
    where the client of the database is not installed.
    """
    from sdqctl.fleet.address import store_address
    from sdqctl.fleet.database import import_client
    from sdqctl.fleet.sharing import SharedStore

    address = store_address(given or app.settings.store, app.environment)
    import_client()
    return SharedStore(app, address, lambda text: note(one_line(text)))

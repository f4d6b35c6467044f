"""The shared store that a command means, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from sdqctl.cli.output import note
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.fleet.database import Database
    from sdqctl.fleet.sharing import SharedStore
    from sdqctl.model.session import SessionRef
    from sdqctl.model.views.queue import QueuedRunView
    from sdqctl.sessions.query import Entry

_Result = TypeVar("_Result")


def with_stored(app: App, given: str, entries: list[Entry], adapter: str | None) -> list[Entry]:
    """The sessions of this machine, and those of the store that are not here."""
    from sdqctl.fleet.listing import with_stored

    with open_store(app, given) as store:
        return with_stored(entries, store, adapter)


class ConfiguredStore:
    """The configured store, for a screen that is open for long: asked anew each time."""

    def __init__(self, app: App) -> None:
        self._app = app

    def sessions(self) -> list[Entry]:
        """The sessions in it. Raises SdqctlError."""
        from sdqctl.fleet.listing import in_store

        with open_store(self._app, None) as store:
            return list(in_store(store)) if store.database.is_made() else []

    def bring(self, ref: SessionRef) -> None:
        """Bring a session here, with its files. Raises SdqctlError."""
        with open_store(self._app, None) as store:
            store.pull(ref.id, ref.adapter)


def ask_queue(app: App, given: str | None, work: Callable[[Database], _Result]) -> _Result:
    """What a queue answers; its tables are made where they are not there."""
    from sdqctl.fleet.queue import make_queue

    with open_store(app, given, "--queue") as store:
        make_queue(store.database)
        return work(store.database)


def change_runs(
    app: App,
    given: str | None,
    wanted: Sequence[str],
    change: Callable[[Database, Sequence[int]], list[int]],
) -> tuple[int, list[QueuedRunView]]:
    """Change the runs of some names, numbers or labels; returns how many were, and the others as
    they stand. Raises SessionNotFoundError.
    """
    from sdqctl.fleet.control import find_runs

    def work(database: Database) -> tuple[int, list[QueuedRunView]]:
        found = find_runs(database, wanted)
        done = change(database, [run.number for run in found])
        return len(done), [run for run in found if run.number not in done]

    return ask_queue(app, given, work)


def make_tables(app: App, given: str | None) -> bool:
    """Make the tables of store and queue; whether any were missing."""
    from sdqctl.fleet.queue import make_queue

    with open_store(app, given, "--queue") as store:
        return make_queue(store.database)


def open_store(app: App, given: str | None, flag: str = "--store") -> SharedStore:
    """The store that a flag gives, else the configured one, which is not asked anything yet.

    Raises UsageError for an address that is none, or that holds a password, RuntimeMissingError
    where the client of the database is not installed.
    """
    from sdqctl.fleet.address import store_address
    from sdqctl.fleet.database import import_client
    from sdqctl.fleet.sharing import SharedStore

    address = store_address(given or app.settings.store, app.environment, flag)
    import_client()
    return SharedStore(app, address, lambda text: note(one_line(text)))

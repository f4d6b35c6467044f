"""What a user puts on a session: another name, and protection from cleanup."""

from __future__ import annotations

from sdqctl.adapters.base import Adapter, Renames, power
from sdqctl.errors import SessionBusyError, UsageError
from sdqctl.model.session import name_problem, refuse_taken
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.sessions.query import Entry, all_entries
from sdqctl.sessions.resolve import find_session
from sdqctl.store.locks import SessionLock
from sdqctl.store.redact import refuse_secret_name


def rename_session(access: Access, argument: str, name: str, adapter: str | None = None) -> Entry:
    """Give a session another name, here and in its runtime; returns it as it was before.

    Raises SessionExistsError for a name that is taken, SessionBusyError for a session in use.
    """
    entry = find_free(access, argument, name, adapter, may_have=True)

    async def work(adapter: Adapter) -> None:
        await power(adapter, Renames).rename_session(entry.info.id, name)

    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref):
        with_adapter(access, entry.info.adapter, work)
        ledger.rename_session(entry.ref, name)
    return entry


def keep_session(
    access: Access, argument: str, adapter: str | None = None, *, keep: bool = True
) -> Entry:
    """Protect a session from cleanup, or no longer."""
    entry = find_session(access, argument, adapter)
    with access.ledger() as ledger:
        ledger.keep_session(entry.ref, keep=keep)
    return entry


def find_free(
    access: Access,
    argument: str,
    new_name: str,
    adapter: str | None = None,
    *,
    may_have: bool = False,
) -> Entry:
    """The session that is meant, if nobody uses it and the new name is free; it `may_have` that
    name itself.

    Raises UsageError for what is no name, SessionExistsError, SessionBusyError.
    """
    if problem := name_problem(new_name):
        raise UsageError(f"the session name {new_name!r} {problem}")
    refuse_secret_name(new_name, access.environment)
    entry = find_session(access, argument, adapter)
    entries = all_entries(access, entry.info.adapter)
    taken = (each.info for each in entries if not may_have or each.ref != entry.ref)
    refuse_taken(taken, new_name, hint="choose another name")
    if entry.holder is not None:
        raise SessionBusyError(
            f"session {entry.info.label!r} is in use by {entry.holder.describe()}",
            hint="end it there first",
        )
    return entry

"""What a user puts on a session: another name, and protection from cleanup."""

from __future__ import annotations

from sdqctl.adapters.base import Adapter, Renames, power
from sdqctl.errors import SessionBusyError, UsageError
from sdqctl.model.session import name_problem, refuse_taken
from sdqctl.sessions.access import Access, with_adapter
from sdqctl.sessions.query import Entry, all_entries
from sdqctl.sessions.resolve import find_session
from sdqctl.store.intentions import end_copy
from sdqctl.store.locks import SessionLock
from sdqctl.store.naming import names_a_session
from sdqctl.store.redact import refuse_secret_name


@names_a_session
def rename_session(access: Access, argument: str, name: str, adapter: str | None = None) -> Entry:
    """Give a session another name, here and in its runtime; returns it as it was before.

    Raises SessionExistsError for a name that is taken, SessionBusyError for a session in use.
    """
    entry = find_free(access, argument, name, adapter, may_have=True)

    async def work(adapter: Adapter) -> None:
        await power(adapter, Renames).rename_session(entry.info.id, name)

    with access.ledger() as ledger, SessionLock.acquire(access.home, entry.ref):
        end_copy(ledger, entry.info.adapter, name)  # none was made, or the name would be taken
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
    """The session that is meant, if no other client uses it and the new name is free; it `may_have`
    that name itself, else a half copy of it may. Whoever has its lock is known by taking that.

    Raises UsageError for what is no name, SessionExistsError, SessionBusyError.
    """
    if problem := name_problem(new_name):
        raise UsageError(f"the session name {new_name!r} {problem}")
    refuse_secret_name(new_name, access.environment)
    entry = find_session(access, argument, adapter)
    entries = all_entries(access, entry.info.adapter)
    own = [each.ref if may_have else each.copy_of for each in entries]
    taken = (each.info for each, ref in zip(entries, own, strict=True) if ref != entry.ref)
    refuse_taken(taken, new_name, hint="choose another name")
    holder = access.archive(entry.info.adapter).holder(entry.info.id)
    if holder is not None:
        raise SessionBusyError(
            f"session {entry.info.label!r} is in use by {holder.describe()}",
            hint="end it there first",
        )
    return entry

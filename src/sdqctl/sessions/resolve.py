"""From what a user typed to exactly one session."""

from __future__ import annotations

from collections.abc import Iterable

from sdqctl.errors import SessionAmbiguousError, SessionNotFoundError
from sdqctl.model.session import SessionInfo, folded
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import Entry, all_entries
from sdqctl.store.intentions import half_copy
from sdqctl.text.suggest import nearest_few

_SHOWN = 5


def find_session(
    access: Access, argument: str, adapter: str | None = None, *, to_read: bool = False
) -> Entry:
    """The session that is meant, with its state; see `resolve_session`.

    Raises SessionUnusableError for a copy that is not whole, unless it is `to_read` alone.
    """
    entries = all_entries(access, adapter)
    info = resolve_session(argument, [entry.info for entry in entries])
    entry = next(entry for entry in entries if entry.info is info)
    if entry.copy_of is not None and not to_read:
        labels = {each.ref: each.info.label for each in entries}
        raise half_copy(info, labels.get(entry.copy_of, entry.copy_of.id))
    return entry


def resolve_session(
    argument: str, entries: Iterable[SessionInfo], *, whole: bool = False
) -> SessionInfo:
    """The session of this id, name (without regard to case), or prefix of one that is unique; no
    prefix where it has to be `whole`.

    Raises SessionNotFoundError with the nearest names, SessionAmbiguousError with the matches.
    """
    known = list(entries)
    wanted = folded(argument)
    by_id = [e for e in known if e.id == argument]
    by_name = [e for e in known if e.name == argument]
    for matches in (
        [*by_id, *(e for e in by_name if e.adapter not in {one.adapter for one in by_id})],
        [e for e in known if wanted in e.keys],
        _outermost([e for e in known if wanted and not whole and _begins(e, wanted)]),
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _ambiguous(argument, matches)
    begun = [e.label for e in known if wanted and _begins(e, wanted)] if whole else []
    raise _not_found(argument, known, begun)


def _outermost(found: list[SessionInfo]) -> list[SessionInfo]:
    """Those that are not called after another one of them: its run made them."""
    labels = [f"{one.label}/" for one in found]
    return [one for one in found if not any(one.label.startswith(label) for label in labels)]


def _begins(entry: SessionInfo, wanted: str) -> bool:
    return any(key.startswith(wanted) for key in entry.keys)


def _ambiguous(argument: str, matches: list[SessionInfo]) -> SessionAmbiguousError:
    shown = ", ".join(f"{e.label!r} ({e.adapter} {e.id})" for e in matches[:_SHOWN])
    more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
    return SessionAmbiguousError(
        f"{argument!r} means {len(matches)} sessions: {shown}{more}",
        hint="give the whole id, or -a ADAPTER",
    )


def _not_found(argument: str, known: list[SessionInfo], begun: list[str]) -> SessionNotFoundError:
    if begun:
        more = ", ..." if len(begun) > _SHOWN else ""
        hint = f"the whole name is wanted here: {', '.join(begun[:_SHOWN])}{more}"
        return SessionNotFoundError(f"there is no session {argument!r}", hint=hint)
    labels = {folded(entry.label): entry.label for entry in known}
    near = [labels[name] for name in nearest_few(folded(argument), labels, 3)]
    hint = f"did you mean {', '.join(near)}?" if near else "`sdqctl sessions list` shows them all"
    return SessionNotFoundError(f"there is no session {argument!r}", hint=hint)

"""Sessions to go on in: the last changed first, found by what is typed, also in their whole text.

Names are looked through at once; texts and first prompts come later (`sessions.lookup`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.closing import Closing
from sdqctl.errors import SessionNotFoundError
from sdqctl.model.session import folded
from sdqctl.sessions.access import Access
from sdqctl.sessions.lookup import TextLookup
from sdqctl.sessions.query import Entry, Query, all_entries, select


def resumable(
    access: Access, adapter: str | None = None, *, unfinished: bool = False
) -> list[Entry]:
    """The sessions that can be gone on with here, the last changed first; with `unfinished` those
    whose run has steps left.
    """
    entries = select(all_entries(access, adapter), Query(children=False), datetime.now(UTC))
    return [
        entry
        for entry in entries
        if not entry.info.is_remote and (entry.unfinished() or not unfinished)
    ]


def last_of(entries: list[Entry], folder: Path) -> Entry:
    """The last changed session of a folder's project. Raises SessionNotFoundError."""
    here = in_project(entries, folder)
    if here:
        return here[0]
    if not entries:
        raise SessionNotFoundError("there is no session yet", hint="`sdqctl chat` begins one")
    last = entries[0].info
    raise SessionNotFoundError(
        "there is no session of this project",
        hint=f"the last one of all is {last.label!r}, in {last.cwd or 'an unknown folder'}",
    )


def in_project(entries: Iterable[Entry], folder: Path) -> list[Entry]:
    """Those of the entries that work in a folder's project, the last changed first."""
    return select(entries, Query(here=folder), datetime.now(UTC))


class Recent(Closing):
    """Sessions to choose from. `changed` is called, in another thread, when more is known.

    A context manager; leaving it ends the thread.
    """

    def __init__(self, access: Access, entries: list[Entry], changed: Callable[[], object]) -> None:
        self._entries = entries
        self._names = {entry.ref: _name_text(entry) for entry in entries}
        self._texts = TextLookup(access, changed)

    def close(self) -> None:
        """Close what was opened to search in."""
        self._texts.close()

    def replace(self, entries: list[Entry]) -> None:
        """Choose from these from now on; what was looked up stays."""
        self._entries = entries
        self._names = {entry.ref: _name_text(entry) for entry in entries}

    def found(self, typed: str) -> list[Entry]:
        """The sessions in which every word that was typed stands: first those that have them all in
        their name, state, folder or title; then those that have them in their text, as far as that
        was looked up.
        """
        words = folded(typed).split()
        by_name, by_text = [], []
        hits = {word: self._texts.sessions_with(word) for word in words}
        for entry in self._entries:
            name = self._names[entry.ref]
            missing = [word for word in words if word not in name]
            if not missing:
                by_name.append(entry)
            elif all(entry.ref in hits[word] for word in missing):
                by_text.append(entry)
        return by_name + by_text

    def is_searching(self) -> bool:
        """Whether texts are being looked up."""
        return self._texts.is_searching()

    @property
    def problem(self) -> str | None:
        """Why texts cannot be looked through."""
        return self._texts.problem

    def first_prompt(self, entry: Entry) -> str | None:
        """What was asked first, None while that is not known; nothing where nothing was asked."""
        return self._texts.first_prompt(entry.ref)


def _name_text(entry: Entry) -> str:
    info = entry.info
    parts = (info.label, entry.status.value, info.cwd, info.summary, info.branch, info.model)
    return folded("\n".join(part for part in parts if part))

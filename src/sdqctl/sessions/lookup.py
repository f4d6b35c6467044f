"""Words and first prompts of many sessions, looked up in a thread while somebody chooses."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from sdqctl.errors import SdqctlError
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.search import SearchIndex
from sdqctl.store.ledger import Ledger
from sdqctl.store.redact import Redactor
from sdqctl.text.terminal import title

_PROMPT_WIDTH = 200
_PATIENCE = 1.0
"""Seconds to wait for the thread: it may stand before an index that another process writes."""
_SHORTEST_WORD = 2
"""Shorter ones stand in nearly every text."""
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_FIRST = """
    SELECT attempts.title FROM attempts JOIN runs ON runs.id = attempts.run_id
    WHERE attempts.session_id = ? AND runs.adapter = ? AND attempts.kind = 'prompt'
    ORDER BY attempts.number LIMIT 1
"""


class TextLookup:
    """Answers with what is known by now; `changed` is called, in the thread, when it is more."""

    def __init__(self, access: Access, changed: Callable[[], object]) -> None:
        self._access = access
        self._changed = changed
        self._redact = Redactor(access.environment)
        self._condition = threading.Condition()
        self._words: dict[str, frozenset[SessionRef] | None] = {}
        self._prompts: dict[SessionRef, str | None] = {}
        self._index_is_current = False
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self.problem: str | None = None
        """Why texts cannot be looked through."""

    def sessions_with(self, word: str) -> frozenset[SessionRef]:
        """The sessions whose text has a word that begins so."""
        if len(word) < _SHORTEST_WORD or not any(map(str.isalnum, word)):
            return frozenset()
        return self._known(self._words, word) or frozenset()

    def first_prompt(self, ref: SessionRef) -> str | None:
        """The beginning of a session's first prompt; None while it is not known."""
        return self._known(self._prompts, ref)

    def is_searching(self) -> bool:
        """Whether a word was asked for and more may be found."""
        with self._condition:
            return bool(self._words) and self.problem is None and not self._is_done_with_words()

    def close(self) -> None:
        """End the thread, which leaves off where it is."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _known(self, known: dict[_Key, _Value | None], key: _Key) -> _Value | None:
        with self._condition:
            if key not in known and not self._is_closed:
                known[key] = None
                self._condition.notify()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, daemon=True)
                    self._thread.start()
            return known.get(key)

    # -- in the thread ----------------------------------------------------------------------

    def _work(self) -> None:
        with ExitStack() as stack:
            ledger = stack.enter_context(self._access.ledger(read_only=True))
            index: SearchIndex | None = None
            while self._wait():
                if (ref := _first_unknown(self._prompts)) is not None:
                    self._answer(self._prompts, ref, self._read_prompt(ref, ledger))
                elif self.problem is None:
                    index = index or self._opened(stack)
                    if index is not None:
                        self._search(index)
                self._changed()

    def _wait(self) -> bool:
        """Wait for something to look up; False when nobody wants it any more."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_closed or self._has_work())
            return not self._is_closed

    def _has_work(self) -> bool:
        words = bool(self._words) and self.problem is None and not self._is_done_with_words()
        return words or _first_unknown(self._prompts) is not None

    def _is_done_with_words(self) -> bool:
        return self._index_is_current and None not in self._words.values()

    def _answer(self, known: dict[_Key, _Value | None], key: _Key, value: _Value) -> None:
        with self._condition:
            known[key] = value

    def _read_prompt(self, ref: SessionRef, ledger: Ledger) -> str:
        rows = ledger.rows(_FIRST, ref.id, ref.adapter)
        if rows:
            return str(rows[0]["title"])
        try:
            turn = next(self._access.archive(ref.adapter).turns(ref.id), None)
        except (SdqctlError, OSError):
            return ""
        return title(self._redact(turn.prompt), _PROMPT_WIDTH) if turn is not None else ""

    def _opened(self, stack: ExitStack) -> SearchIndex | None:
        try:
            return stack.enter_context(SearchIndex.open(self._access.home, self._redact))
        except (SdqctlError, sqlite3.Error) as error:
            self.problem = str(error)
            return None

    def _search(self, index: SearchIndex) -> None:
        """Answer the words that wait, by what is in the index; then take more into it, for as long
        as nothing else is asked for.
        """
        try:
            while (word := _first_unknown(self._words)) is not None and not self._is_closed:
                self._answer(self._words, word, index.sessions_with(word))
            if not self._index_is_current:
                whole = index.update(self._access.archives(), stop=self._is_asked)
                found = {word: index.sessions_with(word) for word in [*self._words]}
                with self._condition:
                    self._words.update(found)
                    self._index_is_current = whole
        except (SdqctlError, sqlite3.Error) as error:
            self.problem = str(error)

    def _is_asked(self) -> bool:
        unknown = (_first_unknown(self._words), _first_unknown(self._prompts))
        return self._is_closed or unknown != (None, None)


def _first_unknown(known: dict[_Key, _Value | None]) -> _Key | None:
    """What was asked for last and is not known; the newest question is the one that is read."""
    return next((key for key in reversed([*known]) if known[key] is None), None)

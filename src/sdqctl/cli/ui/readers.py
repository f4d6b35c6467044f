"""Threads that read, so that the screen never waits: the board of sessions and what is shown of the
one under the cursor, from disk, which sleep while nothing changes; and the shared store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from sdqctl.cli.ui.preview import of_following, of_remote, of_session
from sdqctl.cli.ui.text import Line
from sdqctl.errors import SdqctlError
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.board import Board, Item
from sdqctl.sessions.following import Following
from sdqctl.sessions.query import Entry

_LOOK = 0.5
"""Seconds between looks whether the ledger changed."""
_FOLLOW = 0.15
"""Seconds between looks at the log of a run that goes on."""
_ASK_STORE = 10.0
"""Seconds between questions to a shared store."""


class Store(Protocol):
    """A store that machines share."""

    def sessions(self) -> list[Entry]:
        """The sessions in it. Raises SdqctlError."""

    def bring(self, ref: SessionRef) -> None:
        """Bring a session here. Raises SdqctlError."""


class BoardReader:
    """Reads the board, then what changes of it. `changed` and `failed` are called in the thread."""

    def __init__(
        self,
        access: Access,
        changed: Callable[[list[Item], tuple[int, float]], object],
        failed: Callable[[str], object],
    ) -> None:
        self._board = Board(access)
        self._changed = changed
        self._failed = failed
        self._woken = threading.Event()
        self._anew = True
        self._closed = False
        self._elsewhere: list[Entry] | None = None
        self._thread = threading.Thread(target=self._work, name="sdqctl-board", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def read_anew(self) -> None:
        """Read the whole of it: something may have changed that no look would show."""
        self._anew = True
        self._woken.set()

    def put_elsewhere(self, entries: list[Entry]) -> None:
        """Show sessions that live elsewhere."""
        self._elsewhere = entries
        self._woken.set()

    def close(self) -> None:
        """End."""
        self._closed = True
        self._woken.set()
        self._thread.join(2)

    def _work(self) -> None:
        told = ""
        while not self._closed:
            try:
                anew, self._anew = self._anew, False
                items = self._board.read() if anew else self._board.changed()
                elsewhere, self._elsewhere = self._elsewhere, None
                if elsewhere is not None:
                    items = self._board.put_elsewhere(elsewhere)
                if items is not None:
                    self._changed(items, self._board.spent())
                told = ""
            except (SdqctlError, OSError) as error:
                if str(error) != told:
                    told = str(error)
                    self._failed(told)
            self._woken.wait(_LOOK)
            self._woken.clear()
        self._board.close()


class StoreReader:
    """Asks a shared store for its sessions, again and again. `found` and `failed` are called in the
    thread.
    """

    def __init__(
        self,
        store: Store,
        found: Callable[[list[Entry]], object],
        failed: Callable[[str], object],
    ) -> None:
        self._store = store
        self._found = found
        self._failed = failed
        self._woken = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sdqctl-store", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def read_anew(self) -> None:
        """Ask now."""
        self._woken.set()

    def close(self) -> None:
        """End, once an answer that is awaited came; the program does not wait for it."""
        self._closed = True
        self._woken.set()

    def _work(self) -> None:
        known: list[Entry] = []
        told = ""
        while not self._closed:
            try:
                entries = self._store.sessions()
            except SdqctlError as error:
                if error.message != told:
                    told = error.message
                    self._failed(told)
            else:
                told = ""
                if entries != known:
                    known = entries
                    self._found(entries)
            self._woken.wait(_ASK_STORE)
            self._woken.clear()


class PreviewReader:
    """Reads what is shown of one session at a time: the one that was asked for last."""

    def __init__(
        self, access: Access, read: Callable[[SessionRef, Sequence[Line], bool], object]
    ) -> None:
        """`read` is called in the thread; the flag says whether it is an answer that streams."""
        self._access = access
        self._read = read
        self._condition = threading.Condition()
        self._wanted: Item | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sdqctl-preview", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def want(self, item: Item | None) -> None:
        """Read this one next."""
        with self._condition:
            self._wanted = item
            self._condition.notify()

    def close(self) -> None:
        """End."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join(2)

    def _work(self) -> None:
        item: Item | None = None
        following: Following | None = None
        while True:
            with self._condition:
                if self._wanted is item and not self._closed:
                    self._condition.wait(_FOLLOW if following else None)
                if self._closed:
                    break
                is_new, item = self._wanted is not item, self._wanted
            if is_new:
                if following is not None:
                    following.close()
                following = self._begin(item)
            if following is not None and item is not None and (following.look() or is_new):
                self._read(item.entry.ref, of_following(item, following), True)
        if following is not None:
            following.close()

    def _begin(self, item: Item | None) -> Following | None:
        """Show a session; returns the log of its run, if that goes on and has one."""
        if item is None:
            return None
        entry = item.entry
        if entry.info.is_remote:
            self._read(entry.ref, of_remote(item), False)
            return None
        try:
            if entry.holder is not None and entry.run is not None:
                return Following(self._access, entry.run.id)
        except FileNotFoundError:
            pass  # it goes on in a terminal
        try:
            self._read(entry.ref, of_session(self._access, item), False)
        except (SdqctlError, OSError) as error:
            self._read(entry.ref, [Line(str(error), "red")], False)
        return None

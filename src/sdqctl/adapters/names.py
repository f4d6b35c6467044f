"""Which session has a name: the folders of a runtime, each read once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sdqctl.model.session import SessionInfo, folded


class KnownNames:
    """Finds sessions by name while more and more are made.

    `get` reads one session by its id; the folders' names below `root` are the ids.
    """

    def __init__(self, root: Path, get: Callable[[str], SessionInfo | None]) -> None:
        self._root = root
        self._get = get
        self._read: set[str] = set()
        self._ids: dict[str, str] = {}

    def find(self, name: str) -> SessionInfo | None:
        """The session of this name, or of this id, compared without case."""
        try:
            ids = os.listdir(self._root)
        except OSError:
            return None
        for session_id in ids:
            if session_id not in self._read:
                self._add(session_id)
        wanted = folded(name)
        found = self._get(self._ids[wanted]) if wanted in self._ids else None
        return found if found is not None and wanted in found.keys else None

    def forget(self, session_id: str) -> None:
        """Read a session again: it was renamed."""
        self._read.discard(session_id)

    def _add(self, session_id: str) -> None:
        info = self._get(session_id)
        if info is not None:
            self._read.add(session_id)
            for name in info.keys:
                self._ids[name] = session_id

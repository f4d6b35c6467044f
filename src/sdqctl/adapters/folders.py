"""Sessions that are folders with a journal each: what the archives of such runtimes share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from sdqctl.adapters.files import make_stage, session_files
from sdqctl.adapters.journal import count_turns, fingerprint, read_turns
from sdqctl.model.session import Holder, SessionInfo, Turn
from sdqctl.process import may_hold

JOURNAL = "events.jsonl"
"""The journal's name in a session's folder."""


def mark_in_use(folder: Path) -> Path:
    """Mark a session's folder as in use by this process; whoever closes it takes the mark away."""
    marker = folder / f"inuse.{os.getpid()}.lock"
    marker.touch(mode=0o600)
    return marker


class FolderArchive(ABC):
    """The part of a SessionArchive that needs nothing but the folder of all sessions."""

    name: str

    def __init__(self, root: Path) -> None:
        self._root = root

    @abstractmethod
    def _read(self, session_id: str) -> SessionInfo | None:
        """The session in a folder of this name, None when there is none."""

    def get(self, session_id: str) -> SessionInfo | None:
        """One session by its exact id."""
        if not session_id or "/" in session_id or session_id.startswith("."):
            return None
        return self._read(session_id)

    def sessions(self) -> Iterator[SessionInfo]:
        """All sessions, in no order."""
        try:
            names = os.listdir(self._root)
        except OSError:
            return
        for name in names:
            info = self.get(name)
            if info is not None:
                yield info

    def layout_is_unknown(self) -> bool:
        """The layout is sdqctl's own."""
        return False

    def count_turns(self, session_id: str) -> int | None:
        """How many prompts the journal holds."""
        return count_turns(self._root / session_id / JOURNAL)

    def turns(self, session_id: str) -> Iterator[Turn]:
        """The turns, oldest first. Raises OSError when there is no readable journal."""
        return read_turns(self._root / session_id / JOURNAL)

    def fingerprint(self, session_id: str) -> tuple[int, int] | None:
        """Size and time of the journal."""
        return fingerprint(self._root / session_id / JOURNAL)

    def files(self, session_id: str) -> list[tuple[str, Path]]:
        """The session's folder."""
        return session_files(self._root / session_id)

    def stage(self) -> Path:
        """A folder beside the sessions."""
        return make_stage(self._root)

    def holder(self, session_id: str) -> Holder | None:
        """The live process that marked the session as in use."""
        try:
            for marker in (self._root / session_id).glob("inuse.*.lock"):
                pid = marker.name.split(".")[1]
                if pid.isdecimal() and may_hold(int(pid), marker.stat().st_mtime, "sdqctl"):
                    return Holder(pid=int(pid), command=f"sdqctl ({self.name})")
        except OSError:  # the session or its marker was just taken away
            return None
        return None

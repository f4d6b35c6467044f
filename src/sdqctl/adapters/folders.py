"""Sessions that are folders with a journal each: what the archives of such runtimes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sdqctl.adapters.files import make_stage, session_files
from sdqctl.adapters.journal import fingerprint, read_turns
from sdqctl.model.session import Turn

JOURNAL = "events.jsonl"
"""The journal's name in a session's folder."""


class FolderArchive:
    """The part of a SessionArchive that needs nothing but the folder of all sessions."""

    def __init__(self, root: Path) -> None:
        self._root = root

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

"""What a list has read of the sessions' files before, so that only what changed is read again.

A copy that can be made again at any time, in sdqctl's data folder. A file counts as unchanged when
its size and time (ns) are the same; what was changed in the moment it was read is not kept, since
a second change in that moment might not be seen in the time.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import msgspec

from sdqctl.errors import StoreError
from sdqctl.model.session import SessionInfo

FILE_NAME = "copilot-sessions.index"
Fingerprint = tuple[int, int]
"""Time (ns) and size of a file; zeros when there is none."""
NO_FILE: Fingerprint = (0, 0)
_VERSION = 1
_SETTLED_NS = 2_000_000_000
"""So long ago a change must be to be told from a later one by its time."""
_WORTH_WRITING = 16
"""So many rows must have changed for the file to be written."""
_LOG = logging.getLogger(__name__)


class Row(msgspec.Struct, array_like=True):
    """What was read of one session, and the state of its files then."""

    workspace: Fingerprint
    journal: Fingerprint
    unmarked: int
    """Time (ns) of the session's folder when no in-use marker was in it, else 0."""
    turns: int | None
    info: SessionInfo


class _File(msgspec.Struct, array_like=True):
    version: int
    root: str
    rows: dict[str, Row]


class DiskIndex:
    """The rows of one `session-state` folder, by session id."""

    def __init__(self, data_dir: Path, root: str) -> None:
        self._file = data_dir / FILE_NAME
        self._root = root
        self._rows = self._read()
        self._kept: dict[str, Row] = {}
        self._changed = 0
        self.settled = time.time_ns() - _SETTLED_NS
        """What changed after this (ns) may change again without another time."""

    def row(self, session_id: str, workspace: Fingerprint, journal: Fingerprint) -> Row | None:
        """What is known of a session whose files are still as they were."""
        row = self._rows.get(session_id)
        if row is None or row.workspace != workspace or row.journal != journal:
            return None
        self._kept[session_id] = row
        return row

    def add(self, session_id: str, row: Row) -> None:
        """Keep what was just read, unless it may be changing now or is damaged."""
        self._changed += 1
        if row.info.damage is None and max(row.workspace[0], row.journal[0]) < self.settled:
            self._kept[session_id] = row

    def save(self) -> None:
        """Write the rows that were seen, when enough of them are new; failing is no error."""
        gone = len(self._rows) - len(self._kept)
        if self._changed + max(gone, 0) < _WORTH_WRITING:
            return
        from sdqctl.fs import make_private_folder, write_private

        try:
            make_private_folder(self._file.parent)
            found = _File(_VERSION, self._root, self._kept)
            write_private(self._file, msgspec.msgpack.encode(found), lasting=False)
        except StoreError as error:
            _LOG.debug("the index of sessions is not kept: %s", error)

    def _read(self) -> dict[str, Row]:
        try:
            found = msgspec.msgpack.decode(self._file.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError):
            return {}
        return found.rows if (found.version, found.root) == (_VERSION, self._root) else {}


def fingerprint_of(path: str) -> Fingerprint:
    """The state of a file, NO_FILE when it cannot be seen."""
    try:
        found = os.stat(path)
    except OSError:
        return NO_FILE
    return found.st_mtime_ns, found.st_size

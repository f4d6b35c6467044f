"""Writing a session's journal, for adapters whose runtime has none that can be read.

Its lines are those that `sdqctl.adapters.journal` reads.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.errors import RuntimeFailure
from sdqctl.fs import replacing, sync_file


def write_event(journal: Path, kind: str, data: dict[str, object]) -> None:
    """Append one event; it is on disk when this returns.

    A torn line at the end, as a kill leaves it, does not swallow the new one. Raises RuntimeFailure
    when it cannot be written whole; nothing is left of it then.
    """
    event = {
        "type": kind,
        "data": data,
        "id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
    }
    line = msgspec.json.encode(event) + b"\n"
    try:
        handle = os.open(journal, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _append_whole(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise RuntimeFailure(f"{journal} cannot be written: {error.strerror}") from error


def _append_whole(handle: int, line: bytes) -> None:
    end = os.fstat(handle).st_size
    torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"
    data = b"\n" + line if torn else line
    try:
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync_file(handle)
    except OSError:
        os.ftruncate(handle, end)
        raise


def cut_before(
    journal: Path, event_id: str, last_moment: Callable[[], None] = lambda: None
) -> None:
    """Take an event, and all after it, out of a journal, at once. Raises OSError.

    `last_moment` is called before the new journal takes the old one's place.
    """
    mark = f'"id":"{event_id}"'.encode()
    kept = bytearray()
    for line in journal.read_bytes().splitlines(keepends=True):
        if mark in line:
            break
        kept += line
    with replacing(journal) as stream:
        stream.write(kept)
        last_moment()

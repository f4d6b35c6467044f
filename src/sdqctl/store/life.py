"""When a run's process was last alive, known after any kill: the time of a file that it touches.

By it a resume tells what the run's tools changed from what came later. The time is the file
system's, like those that it is compared with, and lies at most `LAG` back.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from sdqctl.fs import FILE_MODE, make_private_folder

_BEAT = 0.05
LAG = 2 * _BEAT
"""Seconds that the last sign of what is alive may lie back: a beat, and the file system's clock."""
_ENDED = b"ended"


class Sign(msgspec.Struct, frozen=True):
    """The last sign of life (seconds since the epoch), and whether the process ended in order."""

    time: float
    in_order: bool


class Life:
    """Touches a run's file from `start` to `stop`, which marks the end as one in order.

    Until `start` the last sign of the process before stays as it is.
    """

    def __init__(self, home: Path, run_id: str) -> None:
        self._path = _file(home, run_id)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if it has not begun. Raises StoreError when the folder cannot be made."""
        if self._thread is None:
            make_private_folder(self._path.parent)
            self._touch(b"")
            self._thread = threading.Thread(target=self._beat, name="sdqctl-life", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, if it has begun."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._touch(_ENDED)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT):
            try:
                os.utime(self._path)
            except OSError:
                continue

    def _touch(self, content: bytes) -> None:
        with suppress(OSError):  # without it a resume stops rather than to overwrite
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            os.write(handle, content)
            os.close(handle)
            os.utime(self._path)


def last_sign(home: Path, run_id: str) -> Sign | None:
    """The last sign of life of a run, None where there was none."""
    path = _file(home, run_id)
    try:
        return Sign(path.stat().st_mtime, path.read_bytes() == _ENDED)
    except OSError:
        return None


def forget_life(home: Path, run_id: str) -> None:
    """Remove what is known of a run's life: it is completed, or gone."""
    _file(home, run_id).unlink(missing_ok=True)


def _file(home: Path, run_id: str) -> Path:
    return home / "alive" / run_id

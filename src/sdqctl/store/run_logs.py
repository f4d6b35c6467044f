"""What a run in the background says: its events, a line each, in a private file of the run.

The first line says which process writes it, the last one how that ended. Secrets are taken out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from sdqctl.errors import StoreError
from sdqctl.fs import FILE_MODE, make_private_folder
from sdqctl.model.events import Event, MessageAdded, RunStarted, TextDelta
from sdqctl.model.run import is_run_id
from sdqctl.model.views.failure import FailureView
from sdqctl.process import is_same, start_mark

_WAITING = ".begun-"
"""What the name of a log begins with until its run is known."""
_HELD_BACK = 80
"""Characters of a line that has not ended: they may be the beginning of a secret."""
_BEFORE = 200
"""Characters before a piece that are looked at with it."""
_CHUNK = 1 << 20


class LogBegun(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="log.begun"):
    """The first line: which process writes."""

    pid: int
    mark: str | None
    at: float
    """When, in seconds since the epoch."""


class LogEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="log.ended"):
    """The last line: how the command ended."""

    exit: int
    error: FailureView | None = None
    paused_at: str | None = None
    """The path of the step that waits for a human."""


Line = Event | LogBegun | LogEnded


def log_path(home: Path, run_id: str) -> Path:
    """Where the log of a run lies, if it has one."""
    return home / "logs" / f"{run_id}.jsonl"


class RunLog:
    """Writes the log of the run that this process is about to do; a sink of its events."""

    def __init__(self, home: Path, redact: Callable[[object], object]) -> None:
        """`redact` takes the secrets out of a JSON value. Raises StoreError."""
        make_private_folder(home / "logs")
        self.path = home / "logs" / f"{_WAITING}{os.getpid()}"
        self._home = home
        self._redact = redact
        self._pieces: dict[str, _Pieces] = {}
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._handle = os.open(self.path, flags, FILE_MODE)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        self._write(LogBegun(pid=os.getpid(), mark=start_mark(os.getpid()), at=time.time()))

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted) and self.path.name.startswith(_WAITING):
            place = log_path(self._home, event.run_id)
            self.path.rename(place)
            self.path = place
        if isinstance(event, TextDelta):
            self._stream(event)
            return
        if isinstance(event, MessageAdded):
            self._pieces.pop(event.turn_id, None)
        self._write(event)

    def end(self, ended: LogEnded) -> None:
        """Write the last line. A log whose run never began is removed."""
        self._write(ended)
        os.close(self._handle)
        if self.path.name.startswith(_WAITING):
            self.path.unlink(missing_ok=True)

    def _stream(self, event: TextDelta) -> None:
        pieces = self._pieces.setdefault(event.turn_id, _Pieces(self._clean))
        if text := pieces.add(event.text):
            self._write(TextDelta(turn_id=event.turn_id, text=text))

    def _clean(self, text: str) -> str:
        return str(self._redact(text))

    def _write(self, line: Line) -> None:
        """The run does not fail with its log: what it did stands in the ledger."""
        data = msgspec.json.encode(self._redact(msgspec.to_builtins(line))) + b"\n"
        with suppress(OSError):
            while data:
                data = data[os.write(self._handle, data) :]


class _Pieces:
    """An answer that streams, given on by whole lines and by long parts of them, clean."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._before = ""
        self._waiting = ""
        self._holds = False

    def add(self, text: str) -> str:
        """What can be shown now."""
        self._waiting += text
        end = self._waiting.rfind("\n") + 1
        if not end and len(self._waiting) > 2 * _HELD_BACK:
            end = self._waiting.rfind(" ", 0, -_HELD_BACK) + 1
        if not end or self._holds:
            return ""
        piece = self._waiting[:end]
        if "-----BEGIN " in piece:  # a key of many lines; the message comes whole
            self._holds = True
            return ""
        self._waiting = self._waiting[end:]
        known, whole = self._clean(self._before), self._clean(self._before + piece)
        self._before = (self._before + piece)[-_BEFORE:]
        return whole[len(known) :] if whole.startswith(known) else self._clean(piece)


class LogReader:
    """Reads a log while it is written. Each look gives the lines that are new."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError."""
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._rest = b""
        self._writer: LogBegun | None = None

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    @property
    def writer_pid(self) -> int:
        """The process that writes it, or wrote it; 0 where no line says so."""
        return self._writer.pid if self._writer is not None else 0

    def lines(self) -> Iterable[Line]:
        """What was written since the last look; a line that is not known is passed over."""
        while data := os.read(self._handle, _CHUNK):
            *whole, self._rest = (self._rest + data).split(b"\n")
            for line in whole:
                found = _decoded(line)
                if isinstance(found, LogBegun):
                    self._writer = found
                elif found is not None:
                    yield found

    def seconds(self) -> float:
        """How long it was written so far."""
        began = self._writer.at if self._writer is not None else time.time()
        return max(0.0, os.fstat(self._handle).st_mtime - began)

    def is_written(self) -> bool:
        """Whether the process lives that writes it."""
        return self._writer is not None and is_same(self._writer.pid, self._writer.mark)


def _decoded(line: bytes) -> Line | None:
    try:
        found: Line = msgspec.json.decode(line, type=Line)
    except msgspec.MsgspecError:
        return None
    return found


def remove_logs(home: Path, run_ids: Iterable[str]) -> None:
    """Remove the logs of runs that are deleted."""
    for run_id in filter(is_run_id, run_ids):  # an older version took any from a bundle
        log_path(home, run_id).unlink(missing_ok=True)

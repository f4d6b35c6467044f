"""stdout and stderr that never raise: nobody reads any more, the disk is full, or they are closed.

A run is recorded and costs money: that its output goes nowhere is no reason to end it. What was
lost is reported at the end, unless the reader simply went away.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

_GONE = {errno.EPIPE, errno.EBADF, errno.EIO}
"""The reader went away, or the stream was closed by who started us: that is their wish."""


class _Stream(io.FileIO):
    """The raw end of a stream; after a failure the rest is dropped."""

    failure: OSError | None = None

    def write(self, data: object, /) -> int:
        """Write what can be written, and say that all of it was."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        if self.failure is None:
            try:
                return super().write(data) or 0  # type: ignore[arg-type]
            except OSError as error:
                self.failure = error
        return size


_stdout: list[_Stream] = []


def open_streams() -> None:
    """Put such streams in the place of sys.stdout and sys.stderr; closed ones lead nowhere.

    A closed descriptor is taken at once: the next file to be opened would get its number, and
    with it all that is written to the stream.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    raw = _Stream(1, "w", closefd=False)
    _stdout[:] = [raw]
    sys.stdout = _text(raw, sys.stdout, "replace", lines=raw.isatty())
    sys.stderr = _text(_Stream(2, "w", closefd=False), sys.stderr, "backslashreplace", lines=True)


def lost_output() -> str | None:
    """Why a part of stdout was lost, None when nothing was that anybody wanted."""
    failure = _stdout[0].failure if _stdout else None
    if failure is None or failure.errno in _GONE:
        return None
    return failure.strerror or str(failure)


def _text(raw: _Stream, old: TextIO | None, errors: str, *, lines: bool) -> TextIO:
    encoding = old.encoding if old is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=lines
    )

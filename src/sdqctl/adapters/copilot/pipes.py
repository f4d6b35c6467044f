"""The runtime's output, bounded: a runtime that writes nonsense or without end fills no memory.

The SDK reads in a thread that takes lines and messages of any length, and hands each one to the
event loop at once, whether that keeps up or not (SDK 1.0.27: `_jsonrpc.py`). What it reads from is
wrapped here; what is out of bounds ends its thread, which counts as the runtime's death.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import threading
from typing import IO, cast

_HEADER = 1024
"""The longest header line, in bytes."""
LARGEST_MESSAGE = 64 * 1024 * 1024
"""The largest message, in bytes. The runtime itself keeps large tool results in files."""
_BYTES_AHEAD = 4 * 1024 * 1024
_MESSAGES_AHEAD = 512
_ERRORS_KEPT = 64 * 1024
_ERROR_LINE = 4096


class GuardedOutput:
    """stdout of the runtime, as the SDK reads it: never far ahead of the event loop."""

    def __init__(self, stream: io.RawIOBase, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = io.BufferedReader(stream, 256 * 1024)
        self._loop = loop
        self._bytes = self._messages = 0
        self.problem: str | None = None
        """What was out of bounds, once something was."""

    def readline(self) -> bytes:
        """A header line. Raises ValueError for one that is too long."""
        self._keep_pace()
        line = self._stream.readline(_HEADER)
        if len(line) == _HEADER and not line.endswith(b"\n"):
            raise self._refused("a line that is no message")
        return line

    def read(self, size: int) -> bytes:
        """A message. Raises ValueError for one that is too large."""
        if not 0 <= size <= LARGEST_MESSAGE:
            raise self._refused(f"a message of {size} bytes")
        self._bytes += size
        self._messages += 1
        return self._stream.read(size)

    def close(self) -> None:
        """Close the pipe."""
        self._stream.close()

    def _refused(self, what: str) -> ValueError:
        self.problem = f"it wrote {what}"
        return ValueError(self.problem)

    def _keep_pace(self) -> None:
        """Wait until the event loop has seen what was read, when that is much."""
        if self._bytes < _BYTES_AHEAD and self._messages < _MESSAGES_AHEAD:
            return
        self._bytes = self._messages = 0
        seen = threading.Event()
        try:
            self._loop.call_soon_threadsafe(seen.set)
        except RuntimeError:  # the loop is closed
            return
        while not seen.wait(1.0):
            if self._loop.is_closed():
                return


class GuardedErrors:
    """stderr of the runtime: read to its end, of which the SDK is given the first part, as text."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = io.BufferedReader(stream)
        self._left = _ERRORS_KEPT
        self.last = ""
        """The last line that says something."""

    def readline(self) -> bytes:
        """The next line, or b"" at the end; lines beyond the bound are passed over."""
        while line := self._stream.readline(_ERROR_LINE):
            text = line.decode("utf-8", "replace")
            self.last = text.strip() or self.last
            if self._left > 0:
                self._left -= len(line)
                return text.encode()
        return b""

    def close(self) -> None:
        """Close the pipe."""
        self._stream.close()


def guard(process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
    """Put the guards before the pipes of a process that was started without buffers."""
    output, errors = cast("io.RawIOBase", process.stdout), cast("io.RawIOBase", process.stderr)
    process.stdout = cast("IO[bytes]", GuardedOutput(output, loop))
    process.stderr = cast("IO[bytes]", GuardedErrors(errors))

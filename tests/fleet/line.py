"""What lies between a client and the server of a store: it may be long, cut, and mended."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

_SOCKET = ".s.PGSQL.5432"
_TLS = bytes([0, 0, 0, 8, 4, 210, 22, 47])
"""How a client asks for TLS (postgresql.org/docs/current/protocol-message-formats.html)."""


class Line:
    """Relays connections on a port of this machine to the server of a store."""

    def __init__(self, store: str, host: str, delay: float, tls: ssl.SSLContext | None) -> None:
        self._parts = urlsplit(store)
        self._delay, self._tls, self._host = delay, tls, host
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._relay, host, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def store(self) -> str:
        """The address of the store over this line."""
        return f"postgresql://postgres@{self._host}:{self.port}{self._parts.path}"

    def cut(self) -> None:
        """End all connections, and refuse others."""
        self._do(self._cut())

    def mend(self) -> None:
        """Take connections again."""
        self._server = self._do(asyncio.start_server(self._relay, self._host, self.port))

    def end(self) -> None:
        """Cut it for good."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cut(self) -> None:
        self._server.close()
        for writer in [*self._open]:
            writer.transport.abort()
        while self._open:
            await asyncio.sleep(0.01)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = f"{parse_qs(self._parts.query)['host'][0]}/{_SOCKET}"
        with self._noted(writer), suppress(OSError):
            if self._tls is not None and await reader.readexactly(len(_TLS)) == _TLS:
                writer.write(b"S")
                await writer.start_tls(self._tls)
            theirs, there = await asyncio.open_unix_connection(path)
            with self._noted(there):
                ways = (self._carry(reader, there), self._carry(theirs, writer))
                done = [asyncio.ensure_future(way) for way in ways]
                await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
                for way in done:
                    way.cancel()
                await asyncio.gather(*done, return_exceptions=True)

    @contextmanager
    def _noted(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._open.add(writer)
        try:
            yield
        finally:
            writer.close()
            self._open.discard(writer)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                self._loop.call_later(self._delay, target.write, data)
            await asyncio.sleep(self._delay)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what it returns
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)


@contextmanager
def line(
    store: str,
    host: str = "127.0.0.1",
    *,
    delay: float = 0.0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Line]:
    """A line to a store, which takes so many seconds in each direction; `tls` is of all clients."""
    made = Line(store, host, delay, tls)
    try:
        yield made
    finally:
        made.end()

"""One runtime for many sessions: connections lease it, and a dead one is replaced once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast

from sdqctl.adapters.base import Adapter
from sdqctl.processes import is_alive


class SharedRuntime:
    """Starts an adapter when it is first needed, and stops it on leaving."""

    def __init__(self, make_adapter: Callable[[], Adapter]) -> None:
        self._make_adapter = make_adapter
        self._adapter: Adapter | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    def lease(self) -> Adapter:
        """An adapter for one connection; entering it starts nothing that runs already."""
        return cast("Adapter", _Lease(self))

    async def current(self) -> Adapter:
        """The running adapter, a new one if the last died."""
        async with self._starting:
            if self._adapter is not None and _is_dead(self._adapter):
                await self._stop()
            if self._adapter is None:
                adapter = self._make_adapter()
                await adapter.__aenter__()
                self._adapter = adapter
            return self._adapter

    async def _stop(self) -> None:
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            await adapter.__aexit__(None, None, None)


class _Lease:
    """Hands every call on to the shared adapter."""

    def __init__(self, shared: SharedRuntime) -> None:
        self._shared = shared
        self._adapter: Adapter | None = None

    async def __aenter__(self) -> Self:
        self._adapter = await self._shared.current()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._adapter = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the adapter has
        if self._adapter is None:
            raise AttributeError(name)
        return getattr(self._adapter, name)


def _is_dead(adapter: Adapter) -> bool:
    return adapter.runtime_pid is not None and not is_alive(adapter.runtime_pid)

"""One runtime for many sessions: each takes it from the pool, and a dead one is replaced for all.

Runs whose nets differ cannot share one: there is a runtime for each net, also for each worktree. Of
those that no session uses, the last one is kept for the next session, and the others are stopped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from sdqctl.adapters.base import Adapter
from sdqctl.model.sandbox import Sandbox
from sdqctl.process import is_alive


class RuntimePool:
    """Starts an adapter when it is first needed, and stops it on leaving."""

    def __init__(self, make_adapter: Callable[[Sandbox], Adapter]) -> None:
        self._make_adapter = make_adapter
        self._adapters: dict[Sandbox, Adapter] = {}
        self._users = Counter[Sandbox]()
        self._changing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sandbox in [*self._adapters]:
            await self._stop(sandbox)

    def adapter_for(self, sandbox: Sandbox) -> Adapter:
        """An adapter for one connection; entering it starts nothing that runs already."""
        return cast("Adapter", _Pooled(self, sandbox))

    async def take(self, sandbox: Sandbox) -> Adapter:
        """The running adapter of a net, a new one if the last died; `give_back` it."""
        async with self._changing:
            self._users[sandbox] += 1
            try:
                return await self._running(sandbox)
            except BaseException:
                self._users[sandbox] -= 1
                raise

    async def give_back(self, sandbox: Sandbox) -> None:
        """One user less: if it was the last one, other runtimes that nobody uses are stopped."""
        self._users[sandbox] -= 1
        async with self._changing:
            if not self._users[sandbox]:
                unused = [net for net in self._adapters if not self._users[net] and net != sandbox]
                for net in unused:
                    await self._stop(net)

    async def _running(self, sandbox: Sandbox) -> Adapter:
        known = self._adapters.get(sandbox)
        if known is not None and not _is_dead(known):
            return known
        await self._stop(sandbox)
        adapter = self._make_adapter(sandbox)
        await adapter.__aenter__()
        self._adapters[sandbox] = adapter
        return adapter

    async def _stop(self, sandbox: Sandbox) -> None:
        adapter = self._adapters.pop(sandbox, None)
        if adapter is not None:
            await adapter.__aexit__(None, None, None)


class Runtimes(AsyncExitStack):
    """The runtimes of a run and of all that it calls: a pool for each adapter. Leaving it stops
    those that it made.
    """

    def __init__(self, make_adapter: Callable[[str, Sandbox], Adapter]) -> None:
        super().__init__()
        self._make_adapter = make_adapter
        self._pools: dict[str, RuntimePool] = {}

    def share(self, name: str, pool: RuntimePool) -> None:
        """Let the runs of an adapter have the runtimes of a pool, which its keeper stops."""
        self._pools[name] = pool

    def of(self, name: str) -> RuntimePool:
        """The pool of an adapter."""
        if name not in self._pools:
            self._pools[name] = RuntimePool(partial(self._make_adapter, name))
            self.push_async_exit(self._pools[name])
        return self._pools[name]


class _Pooled:
    """Hands every call on to the shared adapter."""

    def __init__(self, shared: RuntimePool, sandbox: Sandbox) -> None:
        self._shared = shared
        self._sandbox = sandbox
        self._adapter: Adapter | None = None

    async def __aenter__(self) -> Self:
        self._adapter = await self._shared.take(self._sandbox)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._adapter is not None:
            self._adapter = None
            await self._shared.give_back(self._sandbox)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the adapter has
        if self._adapter is None:
            raise AttributeError(name)
        return getattr(self._adapter, name)


def _is_dead(adapter: Adapter) -> bool:
    return adapter.runtime_pid is not None and not is_alive(adapter.runtime_pid)

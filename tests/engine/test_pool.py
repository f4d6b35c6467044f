"""Runtimes that many sessions share: how many there are, and which are stopped when."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, cast

import pytest

from sdqctl.adapters.base import Adapter
from sdqctl.engine.pool import RuntimePool
from sdqctl.model.sandbox import NoSandbox, Sandbox


class Runtime:
    """A runtime that stands in a list while it runs."""

    runtime_pid = None

    def __init__(self, running: list[Sandbox], sandbox: Sandbox) -> None:
        self._running, self._sandbox = running, sandbox

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        self._running.append(self._sandbox)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.sleep(0)
        self._running.remove(self._sandbox)


@pytest.fixture
def running() -> list[Sandbox]:
    return []


@pytest.fixture
def pool(running: list[Sandbox]) -> RuntimePool:
    return RuntimePool(lambda sandbox: cast("Adapter", Runtime(running, sandbox)))


def test_sessions_in_one_net_share_a_runtime_that_stays_for_the_next(
    pool: RuntimePool, running: list[Sandbox]
) -> None:
    net = NoSandbox()

    async def use() -> None:
        async with pool:
            async with pool.adapter_for(net), pool.adapter_for(net):
                assert running == [net]
            assert running == [net]
            async with pool.adapter_for(net):
                assert running == [net]
        assert running == []

    asyncio.run(use())


def test_a_net_of_its_own_for_each_leaves_one_runtime_more_than_are_used(
    pool: RuntimePool, running: list[Sandbox]
) -> None:
    most = 0

    async def one(gate: asyncio.Semaphore) -> None:
        nonlocal most
        async with gate, pool.adapter_for(NoSandbox()):
            most = max(most, len(running))
            await asyncio.sleep(0.001)

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(3)
        async with pool:
            await asyncio.gather(*(one(gate) for _ in range(20)))
            assert len(running) == 1
        assert running == []

    asyncio.run(all_of_them())
    assert 3 <= most <= 4


def test_a_runtime_that_did_not_start_has_no_user(running: list[Sandbox]) -> None:
    fails = iter([True, False, False])

    def make(sandbox: Sandbox) -> Adapter:
        if next(fails):
            raise OSError("no such program")
        return cast("Adapter", Runtime(running, sandbox))

    async def use() -> None:
        first, second = NoSandbox(), NoSandbox()
        async with RuntimePool(make) as pool:
            with pytest.raises(OSError, match="no such program"):
                await pool.take(first)
            async with pool.adapter_for(first):
                pass
            async with pool.adapter_for(second):
                assert running == [first, second]
            assert running == [second]

    asyncio.run(use())

"""A worker that is told to stop ends, also where a cancellation is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from sdqctl.fleet import worker


async def deaf() -> None:
    """Loses the first cancellation, as `wait_for` of Python 3.11 can (python/cpython#86296)."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def engine() -> None:
    """Ends when it is cancelled, after what is beside its jobs."""
    listener = asyncio.create_task(deaf(), name="listener")
    try:
        await asyncio.Event().wait()
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


def test_a_lost_cancellation_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_POLL", 0.01)

    async def ended() -> list[object]:
        working, watching = asyncio.create_task(engine()), asyncio.create_task(deaf())
        await asyncio.sleep(0)
        working.cancel()
        async with asyncio.timeout(60):
            return await worker._ends(working, watching)

    assert [type(one) for one in asyncio.run(ended())] == [asyncio.CancelledError] * 2

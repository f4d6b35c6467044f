"""An answer of the runtime to a call that a signal has cancelled."""

from __future__ import annotations

import asyncio

import pytest

from sdqctl.adapters.copilot import process


def test_an_answer_to_a_cancelled_call_writes_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(process.pass_over_unreadable)
        cancelled: asyncio.Future[object] = loop.create_future()
        cancelled.cancel()
        # As the SDK's reader does with each answer.
        loop.call_soon_threadsafe(cancelled.set_result, {})
        await asyncio.sleep(0)
        loop.call_soon(lambda: [][0])
        await asyncio.sleep(0)

    asyncio.run(play())
    told = [record for record in caplog.records if record.name == "asyncio"]
    assert [type(record.exc_info[1]) for record in told if record.exc_info] == [IndexError]

"""Events of a turn on their way to who reads them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

_CATCH_UP = 2.0
"""Seconds that a question waits at most: its reader may be gone."""


async def caught_up(queue: asyncio.Queue[Any] | None) -> None:
    """Wait until what stands in a queue was taken and dealt with, so that a human has read what
    the agent said before it asks.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_CATCH_UP):
            if queue is not None:
                await queue.join()

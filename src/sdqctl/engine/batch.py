"""Many runs side by side, so many at a time, in the order in which they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sdqctl.errors import InterruptedRunError, SdqctlError

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


Ended = Callable[[_Item, _Done | None, SdqctlError | None], None]


async def run_batch(
    items: Sequence[_Item],
    work: Callable[[_Item], Awaitable[_Done]],
    ended: Ended[_Item, _Done],
    *,
    parallel: int,
    stops: Callable[[SdqctlError], bool],
) -> None:
    """Do all items, `parallel` at a time; each end is reported. `stops` tells after which error no
    other is begun.

    Raises InterruptedRunError after a signal, when all that ran have ended cleanly.
    """
    waiting = iter(items)
    stopped = False
    interrupted: InterruptedRunError | None = None

    async def worker() -> None:
        nonlocal stopped, interrupted
        while not stopped:
            item = next(waiting, None)
            if item is None:
                return
            try:
                ended(item, await work(item), None)
            except SdqctlError as error:
                ended(item, None, error)
                stopped = stopped or stops(error)
                if isinstance(error, InterruptedRunError):
                    stopped, interrupted = True, error
            except Exception:
                stopped = True  # a bug ends the batch, but cuts off none that runs
                raise

    workers = [asyncio.ensure_future(worker()) for _ in range(max(1, parallel))]
    await _all_ended(workers)
    if interrupted is not None:
        raise InterruptedRunError("interrupted; what was done is recorded") from interrupted


async def _all_ended(workers: Sequence[asyncio.Future[None]]) -> None:
    """Wait for all of them, whatever one raises, which is raised then."""
    try:
        ends = await asyncio.gather(*workers, return_exceptions=True)
    except asyncio.CancelledError as error:
        await asyncio.gather(*workers, return_exceptions=True)
        raise InterruptedRunError("interrupted; what was done is recorded") from error
    for end in ends:
        if end is not None:
            raise end

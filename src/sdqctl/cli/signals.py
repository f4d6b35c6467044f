"""Running a command's work so that a signal ends it cleanly."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Coroutine
from typing import TypeVar

from sdqctl.errors import InterruptedRunError

_Result = TypeVar("_Result")
_THRESHOLD = 10_000
"""Objects until the garbage of a work that may be long is collected; start-up waits for more."""


def interruptible(
    work: Coroutine[object, object, _Result],
    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM),
) -> _Result:
    """Run to the end, or until a signal, which cancels the work cleanly. Only the main thread
    hears signals.

    Raises InterruptedRunError when the work was cancelled before it had anything to record.
    """

    async def main() -> _Result:
        if gc.get_threshold()[0] != _THRESHOLD:
            gc.freeze()  # what start-up made stays
        gc.set_threshold(_THRESHOLD)
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "a coroutine under asyncio.run is a task"
        heard = threading.current_thread() is threading.main_thread()
        for number in signals if heard else ():
            loop.add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError as error:
        raise InterruptedRunError("interrupted") from error

"""The runtime's process, whose death the SDK does not report."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sdqctl.errors import RuntimeDiedError, RuntimeFailure, SdqctlError

if TYPE_CHECKING:
    from copilot.generated.session_events import SessionEvent
    from copilot.session import CopilotSession as SdkSession

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
POLL = 0.5
"""Seconds between looks at the runtime's process: its death is seen within two."""
_CALL = 30.0
"""Seconds that the runtime is given for an answer that needs no model."""
_ERROR_SHOWN = 300
_LAST_MOMENT = 0.5
"""Seconds between the end of a runtime's output and its own."""


class RuntimeProcess:
    """Watches the runtime's process, whose death the SDK does not report.

    `reader` is the SDK's thread that reads from it; a runtime that is not heard counts as dead.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: threading.Thread | None,
        mark: str | None = None,
    ) -> None:
        self._process = process
        self._reader = reader
        self._ended_by_us: str | None = None
        self.pid: int = process.pid
        self.mark = mark

    def check(self) -> None:
        """Raise RuntimeDiedError if it ended, or can't be heard any more."""
        if self._ended_by_us is not None:
            raise RuntimeDiedError(self._ended_by_us)
        code = self._process.poll()
        if code is not None:
            last = getattr(self._process.stderr, "last", "")[:_ERROR_SHOWN]
            message = f"the Copilot runtime ended unexpectedly (exit code {code})"
            raise RuntimeDiedError(f"{message}: {last}" if last else message)
        if self._reader is not None and not self._reader.is_alive():
            raise self._unheard()

    def _unheard(self) -> RuntimeDiedError:
        problem = getattr(self._process.stdout, "problem", None)
        if problem is None and self._ends_now():  # its output closed with it
            self.check()
        what = problem or "it closed its output, or wrote what is no message"
        self._ended_by_us = (
            f"the Copilot runtime cannot be understood any more and was ended: {what}"
        )
        self._process.kill()
        return RuntimeDiedError(self._ended_by_us)

    def _ends_now(self) -> bool:
        try:
            self._process.wait(_LAST_MOMENT)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close_pipes(self) -> None:
        """Close our ends of an ended process's pipes, which the SDK leaves to the collector."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    async def call(self, awaitable: Awaitable[_Answer], limit: float | None = _CALL) -> _Answer:
        """Await an answer of the runtime; RuntimeDiedError if it dies, RuntimeFailure if silent."""
        task = asyncio.ensure_future(awaitable)
        waited = 0.0
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=POLL)
                waited += POLL
                if not task.done():
                    self.check()
                    if limit is not None and waited > limit:
                        raise RuntimeFailure(
                            f"the Copilot runtime did not answer for {limit:.0f} s"
                        )
            return task.result()
        except Exception as error:
            self.check()
            if type(error).__name__ == "ProcessExitedError":  # the reader is about to end
                raise self._unheard() from error
            raise
        finally:
            task.cancel()

    async def ask(self, awaitable: Awaitable[_Answer], what: str, limit: float = _CALL) -> _Answer:
        """`call`, where no error is expected: any is a RuntimeFailure that says what was asked."""
        try:
            return await self.call(awaitable, limit)
        except SdqctlError:
            raise
        except Exception as error:
            raise RuntimeFailure(f"the Copilot runtime could not {what}: {error}") from error


def listen(
    sdk: SdkSession, process: RuntimeProcess, handler: Callable[[SessionEvent], None]
) -> Callable[[], None]:
    """Give a session's events to a handler; what this returns ends that.

    Raises RuntimeDiedError for a session whose runtime ended, also where another run that shares
    the runtime has replaced it meanwhile.
    """
    process.check()
    try:
        unsubscribe = sdk.on(handler)
    except RuntimeError as error:
        raise RuntimeDiedError("the Copilot runtime of this session was stopped") from error
    return unsubscribe


def pass_over_unreadable(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event that the SDK cannot read, or an answer to a call that was cancelled meanwhile, is no
    reason for a traceback on the terminal.
    """
    error = context.get("exception")
    if "handle_notification" in context["message"]:
        _LOG.debug("an event of the runtime cannot be read: %r", error)
    elif isinstance(error, asyncio.InvalidStateError):
        _LOG.debug("an answer came too late: %s", context["message"])
    else:
        loop.default_exception_handler(context)

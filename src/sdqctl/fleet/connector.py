"""The engine's way to the database: it waits for one that is out of reach. Loads the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException

from sdqctl.fleet.database import passes

_Result = TypeVar("_Result")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_COUNTED_OUT = psycopg.errors.ForeignKeyViolation
"""The worker was silent for so long that others took its row away; it comes back with a new one."""


class PatientConnector(PsycopgConnector):
    """Does again what failed because the database is away, restarts, or is full.

    Nothing of it does harm when it is done twice; a job that was fetched unseen is found by
    `queue.take_over`.
    """

    def __init__(self, note: Callable[[str], None], **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._note = note
        self._is_away = False
        self.hurry = asyncio.Event()
        """Set: nothing is waited for any longer."""

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:  # noqa: ANN401
        await self._patiently(partial(super().execute_query_async, query, **arguments))

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        return await self._patiently(partial(super().execute_query_one_async, query, **arguments))

    async def execute_query_all_async(
        self,
        query: Any,  # noqa: ANN401
        **arguments: Any,  # noqa: ANN401
    ) -> list[dict[str, Any]]:
        return await self._patiently(partial(super().execute_query_all_async, query, **arguments))

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:  # noqa: ANN401
        names = list(channels)
        await self._patiently(partial(super().listen_notify, on_notification, names))

    async def _patiently(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        pause = _FIRST_PAUSE
        while True:
            try:
                result = await work()
            except ConnectorException as error:
                cause = error.__cause__
                if self.hurry.is_set() or not isinstance(cause, psycopg.Error) or not passes(cause):
                    raise
                self._tell(is_away=True)
            else:
                self._tell(is_away=False)
                return result
            try:
                async with asyncio.timeout(pause):
                    await self.hurry.wait()
            except TimeoutError:
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _tell(self, *, is_away: bool) -> None:
        if is_away != self._is_away:
            self._is_away = is_away
            self._note(
                "the queue cannot be reached; it is waited for"
                if is_away
                else "the queue is there again"
            )


def refusal(error: ConnectorException) -> psycopg.Error | None:
    """The error of the database's for which the engine cannot work; None: it may do so again."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or isinstance(cause, _COUNTED_OUT) or passes(cause):
        return None
    return cause

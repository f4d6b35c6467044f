"""Jobs of the engine that do nothing: the yardstick of the load."""

from __future__ import annotations

import asyncio
import logging
import sys

import procrastinate

from tests.fleet.postgres import asked

logging.getLogger("procrastinate").setLevel(logging.ERROR)  # that this is the main module
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1]))
_SECONDS = """
    SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')
        - min(at) FILTER (WHERE type = 'started')), count(DISTINCT job_id)
    FROM procrastinate_events
"""


@app.task(name="empty")
async def empty() -> None:
    """Nothing."""


async def defer(number: int) -> None:
    """Put so many jobs in."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await empty.batch_defer_async(*({} for _ in range(number)))


async def work(parallel: int) -> None:
    """Do jobs until none is left."""
    async with app.open_async():
        await app.run_worker_async(wait=False, concurrency=parallel)


def rate() -> float:
    """Jobs a second, from the first one that began to the last one that ended."""
    ((seconds, number),) = asked(sys.argv[1], _SECONDS)
    return int(str(number)) / float(str(seconds))


if __name__ == "__main__":
    match sys.argv[2:]:
        case ["defer", text]:
            asyncio.run(defer(int(text)))
        case ["work", text]:
            asyncio.run(work(int(text)))
        case _:
            print(rate())

"""How a run under way hears other processes: a request to end, and answers to its questions.

They write into the ledger, and the run looks at it when others have changed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from sdqctl.errors import SdqctlError
from sdqctl.model.tools import ToolDecision, ToolRequest
from sdqctl.policy.ask import Answer, Question, RememberedAnswers, Reply
from sdqctl.store.changes import Changes
from sdqctl.store.ledger import Ledger
from sdqctl.store.messages import (
    answer_of,
    answer_question,
    close_question,
    is_asked_to_end,
    put_question,
)

_POLL = 0.1
"""Seconds between looks whether the ledger changed."""


async def nobody_here(request: ToolRequest, decision: ToolDecision) -> Reply:
    """The question of a run without a terminal: only another process answers."""
    never: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    return await never


@asynccontextmanager
async def heeding(ledger: Ledger, run_id: str) -> AsyncIterator[None]:
    """While a run goes on in here, another process can have it end: this task is cancelled."""
    task = asyncio.current_task()
    assert task is not None, "a run is driven in a task"
    hearing = asyncio.create_task(_hear(ledger, run_id, task))
    try:
        yield
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing


async def _hear(ledger: Ledger, run_id: str, task: asyncio.Task[object]) -> None:
    changes = Changes(ledger)
    while True:
        with suppress(SdqctlError):  # a ledger that cannot be read ends the run by itself
            if changes.seen() and is_asked_to_end(ledger, run_id):
                task.cancel("another process")
                return
        await asyncio.sleep(_POLL)


def asked_elsewhere(question: Question, ledger: Ledger, run_id: str) -> Question:
    """The question, which another process may answer as well; the first answer counts.

    One that remembers answers is of a conversation, whose human is there.
    """
    if isinstance(question, RememberedAnswers):
        return question

    async def ask(request: ToolRequest, decision: ToolDecision) -> Reply:
        number = put_question(ledger, run_id, request, decision.why or decision.reason)
        here = asyncio.ensure_future(question(request, decision))
        there = asyncio.ensure_future(_answer(ledger, number))
        try:
            await asyncio.wait({here, there}, return_when=asyncio.FIRST_COMPLETED)
            if there.done():
                return there.result()
            return _first(ledger, number, here.result())
        finally:
            here.cancel()
            there.cancel()
            await asyncio.gather(here, there, return_exceptions=True)
            close_question(ledger, number)

    return ask


def _first(ledger: Ledger, number: int, reply: Reply) -> Reply:
    """The reply of this terminal, unless another process was first."""
    if reply.answer is Answer.ABORT or answer_question(
        ledger, number, msgspec.json.encode(reply).decode()
    ):
        return reply
    known = answer_of(ledger, number)
    return reply if known is None else _decoded(known)


async def _answer(ledger: Ledger, number: int) -> Reply:
    changes = Changes(ledger)
    while True:
        if changes.seen() and (found := answer_of(ledger, number)) is not None:
            return _decoded(found)
        await asyncio.sleep(_POLL)


def _decoded(text: str) -> Reply:
    return msgspec.json.decode(text, type=Reply)

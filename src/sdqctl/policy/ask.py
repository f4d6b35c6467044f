"""A policy that asks a human about what it would refuse, unless a rule denies it for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from sdqctl.model.tools import ToolDecision, ToolPolicy, ToolRequest

_BY = "the user"


class Answer(StrEnum):
    """What a human may say."""

    ONCE = "once"
    SESSION = "session"
    NOT_NOW = "not now"
    NEVER = "never"
    INSTEAD = "instead"
    """No, and what the agent is to do instead."""
    ABORT = "abort"
    """Nothing: the turn is aborted."""


@dataclass(frozen=True)
class Reply:
    """An answer; `text` is what the agent is to do instead."""

    answer: Answer
    text: str = ""


_WORDS = {
    **dict.fromkeys(("y", "yes", "o", "once"), Answer.ONCE),
    **dict.fromkeys(("a", "all", "s", "session"), Answer.SESSION),
    **dict.fromkeys(("n", "no"), Answer.NOT_NOW),
    **dict.fromkeys(("N", "never"), Answer.NEVER),
}
QUESTION = "[y]es, [a]lways, [n]o, [N]ever, [e]lse what?"
"""What may be typed."""


def read_reply(said: str) -> Reply | None:
    """What a human typed: `y`, `a`, `n`, `N`, or `e` with what the agent is to do instead; None:
    none of them, or an `e` alone.
    """
    said = said.strip()
    answer = _WORDS.get(said) or _WORDS.get(said.casefold() if len(said) > 1 else "")
    if answer is not None:
        return Reply(answer)
    word, _, text = said.partition(" ")
    instead = word.casefold() in ("e", "else") and text.strip()
    return Reply(Answer.INSTEAD, text.strip()) if instead else None


Question = Callable[[ToolRequest, ToolDecision], Awaitable[Reply]]
"""Asks about a request that a policy refused, with that decision."""
_Key = tuple[str, str, tuple[str, ...]]


class RememberedAnswers:
    """A question whose answers hold as long as this lives: `session` and `never` for the same
    request, the others for the same call of a tool. One question is asked at a time.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._lasting: dict[_Key, Reply] = {}
        self._calls: dict[tuple[str, _Key], Reply] = {}
        self._asking = asyncio.Lock()

    async def __call__(self, request: ToolRequest, decision: ToolDecision) -> Reply:
        """What was answered before, else what the human says now."""
        async with self._asking:
            known = self.known(request)
            if known is not None:
                return known
            reply = await self._question(request, decision)
            if reply.answer in (Answer.SESSION, Answer.NEVER):
                self._lasting[_key(request)] = reply
            elif reply.answer is not Answer.ABORT and request.tool_call_id is not None:
                self._calls[request.tool_call_id, _key(request)] = reply
            return reply

    def known(self, request: ToolRequest) -> Reply | None:
        """What was answered before that holds for this request."""
        key = _key(request)
        return self._lasting.get(key) or self._calls.get((request.tool_call_id or "", key))


class AskingPolicy:
    """ToolPolicy and AsksHumans. Give it RememberedAnswers to keep answers for several policies."""

    def __init__(self, policy: ToolPolicy, question: Question) -> None:
        self._policy = policy
        if not isinstance(question, RememberedAnswers):
            question = RememberedAnswers(question)
        self._answers: RememberedAnswers = question

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Without asking: what the policy says, or a human has said."""
        decision = self._policy.decide(request)
        known = None if _is_settled(decision) else self._answers.known(request)
        return decision if known is None else _decision(known)

    async def ask(self, request: ToolRequest) -> ToolDecision:
        """What the policy allows, or a human does."""
        decision = self._policy.decide(request)
        if _is_settled(decision):
            return decision
        return _decision(await self._answers(request, decision))


def _is_settled(decision: ToolDecision) -> bool:
    return decision.allowed or decision.final


def _decision(reply: Reply) -> ToolDecision:
    match reply.answer:
        case Answer.ONCE:
            return ToolDecision(True, "allowed by the user", by=_BY, why="allowed once")
        case Answer.SESSION:
            reason = "allowed for this session by the user"
            return ToolDecision(True, reason, by=_BY, why="allowed for this session")
        case Answer.INSTEAD:
            reason = f"the user refused it, and says what to do instead: {reply.text}"
            return ToolDecision(False, reason, by=_BY, why="refused, with another way")
        case Answer.ABORT:
            reason = "the user aborted the turn"
            return ToolDecision(False, reason, by=_BY, why="aborted", ends_turn=True)
        case Answer.NOT_NOW | Answer.NEVER:
            reason = "the user refused it; go on without it"
            return ToolDecision(False, reason, by=_BY, why="refused")
        case unknown:
            assert_never(unknown)


def _key(request: ToolRequest) -> _Key:
    return (request.kind.value, request.target.strip(), request.paths)

"""A policy that asks a human about what it would refuse, unless a rule denies it for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from sdqctl.model.tools import ToolDecision, ToolPolicy, ToolRequest

_BY = "the user"


class Answer(StrEnum):
    """What a human may say."""

    ONCE = "once"
    SESSION = "session"
    NEVER = "never"
    ABORT = "abort"
    """Nothing: the turn is aborted."""


Question = Callable[[ToolRequest], Awaitable[Answer]]
_Key = tuple[str, str, tuple[str, ...]]


class RememberedAnswers:
    """A question whose answers hold as long as this lives: `session` and `never` for the same
    request, `once` for the same call of a tool. One question is asked at a time.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._lasting: dict[_Key, Answer] = {}
        self._calls: set[tuple[str, _Key]] = set()
        self._asking = asyncio.Lock()

    async def __call__(self, request: ToolRequest) -> Answer:
        """What was answered before, else what the human says now."""
        async with self._asking:
            known = self.known(request)
            if known is not None:
                return known
            answer = await self._question(request)
            if answer in (Answer.SESSION, Answer.NEVER):
                self._lasting[_key(request)] = answer
            elif answer is Answer.ONCE and request.tool_call_id is not None:
                self._calls.add((request.tool_call_id, _key(request)))
            return answer

    def known(self, request: ToolRequest) -> Answer | None:
        """What was answered before that holds for this request."""
        once = (request.tool_call_id or "", _key(request)) in self._calls
        return self._lasting.get(_key(request)) or (Answer.ONCE if once else None)


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
        return _decision(await self._answers(request))


def _is_settled(decision: ToolDecision) -> bool:
    return decision.allowed or decision.final


def _decision(answer: Answer) -> ToolDecision:
    match answer:
        case Answer.ONCE:
            return ToolDecision(True, "allowed by the user", by=_BY, why="allowed once")
        case Answer.SESSION:
            reason = "allowed for this session by the user"
            return ToolDecision(True, reason, by=_BY, why="allowed for this session")
        case Answer.ABORT:
            return ToolDecision(False, "the user aborted the turn", by=_BY, why="aborted")
    return ToolDecision(False, "the user refused it; go on without it", by=_BY, why="refused")


def _key(request: ToolRequest) -> _Key:
    return (request.kind.value, request.target.strip(), request.paths)

"""A policy that asks a human about what it would refuse, unless a rule denies it for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

from sdqctl.model.tools import ToolDecision, ToolPolicy, ToolRequest


class Answer(StrEnum):
    """What a human may say."""

    ONCE = "once"
    SESSION = "session"
    NEVER = "never"


Question = Callable[[ToolRequest], Awaitable[Answer]]


class AskingPolicy:
    """ToolPolicy and AsksHumans. What was answered for the session holds for the same request."""

    def __init__(self, policy: ToolPolicy, question: Question) -> None:
        self._policy = policy
        self._question = question
        self._allowed: set[tuple[str, str]] = set()
        self._refused: set[tuple[str, str]] = set()

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Without a human: what the policy says."""
        return self._policy.decide(request)

    async def ask(self, request: ToolRequest) -> ToolDecision:
        """What the policy allows, or a human does."""
        decision = self._policy.decide(request)
        key = (request.kind.value, request.target)
        if decision.allowed or decision.final or key in self._refused:
            return decision
        if key in self._allowed:
            return ToolDecision(True, "allowed for this session by the user")
        answer = await self._question(request)
        if answer is Answer.SESSION:
            self._allowed.add(key)
        if answer is Answer.NEVER:
            self._refused.add(key)
            return ToolDecision(False, "the user refused it; go on without it")
        return ToolDecision(True, "allowed by the user")

"""Asking a human about what the policy would refuse."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.policy.ask import Answer, AskingPolicy, RememberedAnswers, Reply
from sdqctl.policy.policy import build_policy


class Human:
    """Answers with the same word, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self._busy = False

    async def __call__(self, request: ToolRequest, decision: ToolDecision) -> Reply:
        assert not decision.allowed
        assert not self._busy, "one question at a time"
        self._busy = True
        self.asked.append(request.target)
        await asyncio.sleep(0)
        self._busy = False
        return Reply(self.answer, "use make")


def request(target: str, call: str | None = None) -> ToolRequest:
    return ToolRequest(kind=ToolKind.SHELL, target=target, tool_call_id=call)


def asking(human: Human | RememberedAnswers, **options: object) -> AskingPolicy:
    policy = build_policy(mode="audit", cwd=Path("/nowhere"), **options)  # type: ignore[arg-type]
    return AskingPolicy(policy, human)


@pytest.mark.parametrize(
    ("answer", "times", "allowed"),
    [
        (Answer.ONCE, 2, True),
        (Answer.SESSION, 1, True),
        (Answer.NEVER, 1, False),
        (Answer.NOT_NOW, 2, False),
    ],
)
def test_an_answer_holds_for_policies_made_later(answer: Answer, times: int, allowed: bool) -> None:
    human = Human(answer)
    answers = RememberedAnswers(human)

    async def story() -> list[bool]:
        first, second = asking(answers), asking(answers)
        found = [await first.ask(request("ls", "1")), await second.ask(request(" ls", "2"))]
        assert {decision.by for decision in found} == {"the user"}
        return [decision.allowed for decision in found]

    assert asyncio.run(story()) == [allowed, allowed]
    assert len(human.asked) == times


def test_a_call_that_is_judged_twice_is_asked_about_once() -> None:
    human = Human(Answer.ONCE)
    policy = asking(human)

    async def story() -> None:
        assert not policy.decide(request("ls", "1")).allowed
        assert (await policy.ask(request("ls", "1"))).allowed
        assert policy.decide(request("ls", "1")).allowed
        assert (await policy.ask(request("ls", "1"))).allowed
        assert not policy.decide(request("ls", "2")).allowed
        assert not policy.decide(request("rm x", "1")).allowed

    asyncio.run(story())
    assert human.asked == ["ls"]


def test_questions_come_one_after_another_and_equal_ones_once() -> None:
    human = Human(Answer.NEVER)
    policy = asking(human)

    async def story() -> None:
        calls = [policy.ask(request(text, str(i))) for i, text in enumerate(["a", "b", "a", "b"])]
        assert not any(decision.allowed for decision in await asyncio.gather(*calls))

    asyncio.run(story())
    assert human.asked == ["a", "b"]


def test_what_a_rule_denies_is_not_asked_about() -> None:
    human = Human(Answer.SESSION)
    policy = asking(human, deny_tools=["write(x)"])
    decision = asyncio.run(policy.ask(ToolRequest(kind=ToolKind.WRITE, target="x")))
    assert (decision.allowed, decision.by, human.asked) == (False, "write(x)", [])


def test_a_no_holds_for_its_call_alone_and_what_to_do_instead_reaches_the_agent() -> None:
    human = Human(Answer.INSTEAD)
    policy = asking(human)

    async def story() -> None:
        for call in ("1", "1", "2"):
            decision = await policy.ask(request("ls", call))
            assert not decision.allowed
            assert decision.reason.endswith("use make")

    asyncio.run(story())
    assert human.asked == ["ls", "ls"]

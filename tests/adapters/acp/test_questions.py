"""Questions that an agent asks the user."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sdqctl.adapters import AdapterConfig, AdapterSettings
from sdqctl.adapters.acp.powers import adapter_for
from sdqctl.adapters.acp.profiles import Profile
from sdqctl.adapters.acp.questions import answers
from sdqctl.model.events import MessageAdded
from sdqctl.model.tools import DenyAll, ToolDecision, ToolRequest
from sdqctl.policy.ask import Answer, AskingPolicy, Reply
from sdqctl.testing.acp_agent import command
from tests.adapters.acp.scripted import Scripted
from tests.command import sdqctl


def test_a_question_that_nobody_is_there_for_is_declined_and_told(scripted: Scripted) -> None:
    Path("talk.conv").write_text(
        "SESSION-NAME talk\nMODE implement\n"
        "PROMPT [[ask: Which colour?|red|blue]] [[reply: well]]\n"
    )
    done = sdqctl("run", "talk.conv", "--format", "json")
    assert done.code == 0, done.err
    assert [one["target"] for one in done.json["denied"]] == ["question: Which colour?"]
    assert scripted.sessions()[0]["answers"] == [None]


def test_a_human_answers_by_the_choices_that_there_are(home: Path, project: Path) -> None:
    asked = []

    def ask(question: str, choices: tuple[str, ...]) -> str:
        asked.append((question, choices))
        return "blue"

    async def story() -> None:
        environment = {**os.environ, "FAKE_ACP_HOME": str(home / "agent")}
        settings = AdapterSettings(data_dir=home / "sdqctl", environment=environment)
        profile = Profile(command=tuple(command()), title="the scripted agent")
        config = AdapterConfig(session_name="s", working_directory=project, ask_user=ask)
        async with adapter_for("scripted", profile, settings) as adapter:
            session = await adapter.create_session(config)
            async for _ in session.send("[[ask: Which colour?|red|blue]]", turn_id="t"):
                pass
            await session.close()

    asyncio.run(story())
    assert asked == [("Which colour?", ("red", "blue"))]
    (kept,) = (json.loads(file.read_text()) for file in (home / "agent").glob("*.json"))
    assert kept["answers"] == [{"answer": "blue"}]


def test_a_human_is_asked_when_all_that_was_said_before_is_told(home: Path, project: Path) -> None:
    told: list[str] = []
    told_before: list[list[str]] = []

    async def human(request: ToolRequest, decision: ToolDecision) -> Reply:
        told_before.append(list(told))
        return Reply(Answer.NEVER)

    def ask(question: str, choices: tuple[str, ...]) -> str:
        told_before.append(list(told))
        return "blue"

    async def story() -> None:
        environment = {**os.environ, "FAKE_ACP_HOME": str(home / "agent")}
        settings = AdapterSettings(data_dir=home / "sdqctl", environment=environment)
        profile = Profile(command=tuple(command()), title="the scripted agent")
        policy = AskingPolicy(DenyAll(), human)
        config = AdapterConfig(
            session_name="s", working_directory=project, policy=policy, ask_user=ask
        )
        async with adapter_for("scripted", profile, settings) as adapter:
            session = await adapter.create_session(config)
            prompt = "[[notice: one]] [[write: a b]] [[notice: two]] [[ask: Which?|red|blue]]"
            async for event in session.send(prompt, turn_id="t"):
                await asyncio.sleep(0.02)
                if isinstance(event, MessageAdded):
                    told.append(event.text)
            await session.close()

    asyncio.run(story())
    assert told_before == [["one"], ["one", "two"]]


_FORM = {
    "properties": {
        "colour": {"type": "string", "oneOf": [{"const": "red"}, {"const": "blue"}]},
        "sizes": {"type": "array", "description": "Sizes", "items": {"enum": ["s", "m", "l"]}},
        "count": {"type": "integer", "title": "How many"},
        "sure": {"type": "boolean", "description": "Sure?"},
    },
    "required": ["colour"],
}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (["red", "s, l, xl", "3", "no"], {"colour": "red", "sizes": ["s", "l"], "count": 3}),
        (["red", None, "many", None], {"colour": "red"}),
        ([None, "s", "3", "yes"], None),
        ([None] * 4, None),
    ],
)
def test_a_form_is_asked_field_by_field(
    said: list[str | None], found: dict[str, Any] | None
) -> None:
    questions: list[tuple[str, tuple[str, ...]]] = []

    def ask(question: str, choices: tuple[str, ...]) -> str | None:
        questions.append((question, choices))
        return said[len(questions) - 1]

    got = answers("Which one?", _FORM, ask)
    if said[-1] == "no" and got is not None:
        assert got.pop("sure") is False
    assert got == found
    assert questions[0] == ("Which one?", ("red", "blue"))
    assert questions[3] == ("Sure?", ("yes", "no"))

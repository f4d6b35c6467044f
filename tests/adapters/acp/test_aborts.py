"""Turns that are aborted on an agent that does not listen at once, or not at all."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from sdqctl.adapters import Adapter, AdapterSettings
from sdqctl.adapters.acp.powers import adapter_for
from sdqctl.adapters.acp.profiles import Profile
from sdqctl.model.events import TurnFailed
from sdqctl.testing.acp_agent import command
from sdqctl.testing.contract.stories import abort_when_stored, config_for, response_to


def _agent(home: Path, **switches: object) -> Adapter:
    environment = {
        **os.environ,
        "FAKE_ACP_HOME": str(home / "agent"),
        "FAKE_ACP": json.dumps(switches),
    }
    profile = Profile(command=tuple(command()), title="the scripted agent")
    settings = AdapterSettings(data_dir=home / "sdqctl", environment=environment)
    return adapter_for("scripted", profile, settings)


def test_an_agent_that_passes_over_a_cancel_is_told_again(home: Path, project: Path) -> None:
    async def story() -> None:
        async with _agent(home, deaf_cancels=1) as adapter:
            session = await adapter.create_session(config_for("s", project))
            end = (await abort_when_stored(session, "Wait. [[hang: x1]]"))[-1]
            assert isinstance(end, TurnFailed)
            assert await response_to(session, "Say it. [[reply: after]]") == "after"

    asyncio.run(story())


def test_an_agent_that_heeds_no_cancel_is_ended_and_a_new_one_goes_on(
    home: Path, project: Path
) -> None:
    async def story() -> None:
        async with _agent(home, deaf_cancels=1000) as adapter:
            session = await adapter.create_session(config_for("s", project))
            assert await response_to(session, "Say it. [[reply: before]]") == "before"
            end = (await abort_when_stored(session, "Wait. [[hang: x1]]"))[-1]
            assert isinstance(end, TurnFailed)
            assert await response_to(session, "Say it. [[reply: after]]") == "after"

    asyncio.run(story())
    (kept,) = (json.loads(file.read_text()) for file in (home / "agent").glob("*.json"))
    said = ["Say it. [[reply: before]]", "Wait. [[hang: x1]]", "Say it. [[reply: after]]"]
    assert [turn["prompt"] for turn in kept["turns"]] == said

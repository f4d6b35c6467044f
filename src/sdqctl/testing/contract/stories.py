"""What the stories of the contract share: how a session is opened, spoken to and read back."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from sdqctl.adapters import (
    Adapter,
    AdapterConfig,
    AdapterSession,
    AdapterSettings,
    SessionArchive,
    get_adapter,
    get_archive,
)
from sdqctl.adapters.base import ReadsHistory, find_power
from sdqctl.model.events import PromptAccepted, PromptStored, TurnEvent, TurnFinished
from sdqctl.model.run import TurnBegun
from sdqctl.model.session import SessionInfo
from sdqctl.model.tools import ToolDecision, ToolRequest

_LIMIT = 300.0
"""Seconds for one story: five starts of a heavy agent on a busy machine fit in."""


class AllowAll:
    """The policy that says yes."""

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Allow whatever is asked."""
        return ToolDecision(True, "the test allows everything")


class Contract(ABC):
    """What an adapter's author gives. `name` is the adapter's name; whose entry point is installed
    is found by it, for another one override `adapter` and `archive`.
    """

    name: str
    forks_at_turns = True
    """Whether its forks, if it makes any, can end before a turn."""
    moves = True
    """Whether a session goes on in another folder when its own is gone."""

    def adapter(self, settings: AdapterSettings) -> Adapter:
        """A new adapter, not started."""
        return get_adapter(self.name, settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        """The reader of its sessions on disk."""
        return get_archive(self.name, settings)

    @pytest.fixture
    @abstractmethod
    def settings(self, tmp_path: Path) -> AdapterSettings:
        """Where this adapter keeps its data; override it."""

    @abstractmethod
    def answering(self, answer: str) -> str:
        """A prompt that the agent answers with these words."""

    @abstractmethod
    def refused(self) -> str:
        """A prompt that the model refuses at once, for good."""

    @abstractmethod
    def stalling(self) -> str:
        """A prompt that is never answered the first time."""

    @abstractmethod
    def writing(self, path: Path) -> str:
        """A prompt on which the agent writes a file and then answers."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A working directory for sessions."""
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return folder

    def run(self, settings: AdapterSettings, story: Callable[[Adapter], Awaitable[None]]) -> None:
        """Tell a story with a started adapter, as one process would."""

        async def play() -> None:
            async with asyncio.timeout(_LIMIT), self.adapter(settings) as adapter:
                await story(adapter)

        asyncio.run(play())

    def only(self, settings: AdapterSettings) -> SessionInfo:
        """The one session that is there."""
        (info,) = self.archive(settings).sessions()
        return info

    async def history(self, settings: AdapterSettings, session: AdapterSession) -> list[str]:
        """The answers in the context, by the session where it reads them, else from disk."""
        reader = find_power(session, ReadsHistory)
        if reader is None:
            return self.responses(settings, session.info)
        return [turn.response for turn in await reader.history()]

    def responses(self, settings: AdapterSettings, info: SessionInfo) -> list[str]:
        """The answers that lie on disk."""
        return [turn.response for turn in self.archive(settings).turns(info.id)]


def config_for(
    name: str | None, folder: Path | None, *, resume_if_exists: bool = False
) -> AdapterConfig:
    """A session of this name in this folder."""
    return AdapterConfig(
        session_name=name, working_directory=folder, resume_if_exists=resume_if_exists
    )


async def send(session: AdapterSession, prompt: str) -> list[TurnEvent]:
    """Send a prompt and gather its events."""
    return [event async for event in session.send(prompt, turn_id="t1")]


async def response_to(session: AdapterSession, prompt: str) -> str:
    """The answer to a prompt; a failed turn is a failed test."""
    end = (await send(session, prompt))[-1]
    assert isinstance(end, TurnFinished), end
    return end.response


async def abort_when_stored(session: AdapterSession, prompt: str) -> list[TurnEvent]:
    """Send a prompt and abort it as soon as it is on disk."""
    events: list[TurnEvent] = []
    aborting: asyncio.Future[None] | None = None
    async for event in session.send(prompt, turn_id="t1"):
        events.append(event)
        if isinstance(event, PromptStored):
            aborting = asyncio.ensure_future(session.abort())
    assert aborting is not None, "the prompt was stored"
    await aborting
    return events


def with_message(begun: TurnBegun, events: Sequence[TurnEvent]) -> TurnBegun:
    """The turn with the runtime's message id."""
    accepted = events[0]
    assert isinstance(accepted, PromptAccepted)
    return msgspec.structs.replace(begun, message_id=accepted.message_id)

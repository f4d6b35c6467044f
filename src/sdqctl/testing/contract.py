"""The contract of the adapter seam, as a pytest class that every adapter must pass whole.

Subclass it as `class TestMine(AdapterContract)` and give the `settings` fixture and the prompts
that make the agent answer, refuse, stall and ask for a tool. Needs pytest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdqctl.adapters import (
    Adapter,
    AdapterConfig,
    AdapterSession,
    AdapterSettings,
    Capability,
    get_adapter,
    get_archive,
)
from sdqctl.adapters.base import Compacts, Forks, ListsModels, ReadsHistory, Renames
from sdqctl.errors import (
    SessionExistsError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.model.events import (
    MessageAdded,
    PermissionDecided,
    PromptAccepted,
    PromptStored,
    ToolFinished,
    TurnEvent,
    TurnFailed,
    TurnFinished,
)
from sdqctl.model.run import OutcomeStatus, TurnBegun
from sdqctl.model.session import SessionInfo
from sdqctl.model.tools import ToolDecision, ToolRequest

_LIMIT = 60.0
_SESSION_POWERS = {Capability.READS_HISTORY: ReadsHistory, Capability.COMPACTS: Compacts}
_ADAPTER_POWERS = {
    Capability.FORKS: Forks,
    Capability.RENAMES: Renames,
    Capability.LISTS_MODELS: ListsModels,
}


class AllowAll:
    """The policy that says yes."""

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Allow whatever is asked."""
        return ToolDecision(True, "the test allows everything")


class AdapterContract:
    """What holds for every adapter. `name` is its name in the registry."""

    name: str

    @pytest.fixture
    def settings(self, tmp_path: Path) -> AdapterSettings:
        """Where this adapter keeps its data; override it."""
        raise NotImplementedError("give the adapter's settings")

    def answering(self, answer: str) -> str:
        """A prompt that the agent answers with these words."""
        raise NotImplementedError

    def refused(self) -> str:
        """A prompt that the model refuses at once, for good."""
        raise NotImplementedError

    def stalling(self) -> str:
        """A prompt that is never answered the first time."""
        raise NotImplementedError

    def writing(self, path: Path) -> str:
        """A prompt on which the agent writes a file and then answers."""
        raise NotImplementedError

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A working directory for sessions."""
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return folder

    def run(self, settings: AdapterSettings, story: Callable[[Adapter], Awaitable[None]]) -> None:
        """Tell a story with a started adapter, as one process would."""

        async def play() -> None:
            async with asyncio.timeout(_LIMIT), get_adapter(self.name, settings) as adapter:
                await story(adapter)

        asyncio.run(play())

    def test_a_turn_tells_its_events_in_order(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("talk", folder))
            before = session.journal_position()
            events = await _send(session, self.answering("hello"))
            kinds = [type(event) for event in events]
            assert kinds[0] is PromptAccepted
            assert kinds.index(PromptStored) < kinds.index(MessageAdded)
            end = events[-1]
            assert isinstance(end, TurnFinished)
            assert end.response == "hello"
            assert end.usage.model_calls == 1
            assert {getattr(event, "turn_id", "t1") for event in events} == {"t1"}
            assert session.journal_position() > before

        self.run(settings, story)

    def test_an_existing_session_is_never_created_again(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            first = await adapter.create_session(_config("Taken", folder))
            await _send(first, self.answering("kept"))
            await first.close()
            for name in ("Taken", "taken"):
                with pytest.raises(SessionExistsError):
                    await adapter.create_session(_config(name, folder))

        self.run(settings, story)
        turns = list(get_archive(self.name, settings).turns(self.only(settings).id))
        assert [turn.response for turn in turns] == ["kept"]

    def test_a_named_session_goes_on_in_another_process(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def begin(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("audit", folder))
            await _send(session, self.answering("one"))
            await session.close()

        async def go_on(adapter: Adapter) -> None:
            config = _config("audit", folder, resume_if_exists=True)
            session = await adapter.create_session(config)
            assert session.info.name == "audit"
            await _send(session, self.answering("two"))
            assert isinstance(session, ReadsHistory)
            assert [turn.response for turn in await session.history()] == ["one", "two"]

        self.run(settings, begin)
        self.run(settings, go_on)
        assert self.only(settings).name == "audit"

    @pytest.mark.parametrize(
        "name", ["with blanks and, commas", "ünïcødé 会話", "slash/and\\back", "..", "x" * 100]
    )
    def test_a_name_that_is_allowed_is_kept_and_found(
        self, name: str, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config(name, folder))
            await _send(session, self.answering("yes"))
            with pytest.raises(SessionExistsError):
                await adapter.create_session(_config(name, folder))

        self.run(settings, story)
        assert self.only(settings).name == name

    def test_unknown_sessions_are_not_found(self, settings: AdapterSettings, folder: Path) -> None:
        async def story(adapter: Adapter) -> None:
            assert await adapter.get_session("nobody") is None
            assert list(await adapter.list_sessions()) == []
            with pytest.raises(SessionNotFoundError):
                await adapter.resume_session("nobody", _config(None, folder))
            with pytest.raises(SessionNotFoundError):
                await adapter.delete_session("nobody")

        self.run(settings, story)

    def test_a_working_directory_that_is_gone_is_an_error(
        self, settings: AdapterSettings, folder: Path, tmp_path: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            with pytest.raises(SessionUnusableError):
                await adapter.create_session(_config("lost", tmp_path / "nowhere"))
            session = await adapter.create_session(_config("moved", folder))
            await _send(session, self.answering("here"))
            await session.close()
            folder.rename(tmp_path / "moved")
            with pytest.raises(SessionUnusableError):
                await adapter.resume_session(session.info.id, AdapterConfig())
            config = AdapterConfig(working_directory=tmp_path / "moved")
            again = await adapter.resume_session(session.info.id, config)
            assert await _response(again, self.answering("there")) == "there"

        self.run(settings, story)

    def test_the_archive_tells_what_the_adapter_tells(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        begun = datetime.now(UTC)

        async def story(adapter: Adapter) -> None:
            for name in ("first", None):
                session = await adapter.create_session(_config(name, folder))
                await _send(session, self.answering(f"from {name}"))
                await session.close()
            listed = {info.id: info for info in await adapter.list_sessions()}
            archive = get_archive(self.name, settings)
            read = {info.id: info for info in archive.sessions()}
            assert listed.keys() == read.keys()
            for session_id, info in listed.items():
                single = await adapter.get_session(session_id)
                for other in (read[session_id], archive.get(session_id), single):
                    assert other is not None
                    assert _identity(other) == _identity(info)
                    assert other.damage is None
            named = next(info for info in read.values() if info.name == "first")
            assert named.start_time is not None
            assert named.modified_time is not None
            assert begun.timestamp() - 1 <= named.start_time.timestamp() <= time.time()
            assert named.modified_time >= named.start_time
            (turn,) = archive.turns(named.id)
            assert (turn.prompt, turn.response) == (self.answering("from first"), "from first")
            assert turn.finished

        self.run(settings, story)

    def test_an_open_session_is_told_and_a_deleted_one_is_gone(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            archive = get_archive(self.name, settings)
            session = await adapter.create_session(_config("short", folder))
            await _send(session, self.answering("bye"))
            holder = archive.holder(session.info.id)
            assert holder is not None
            await session.close()
            await adapter.delete_session(session.info.id)
            assert archive.get(session.info.id) is None
            assert await adapter.get_session(session.info.id) is None
            assert session.info.id not in {info.id for info in await adapter.list_sessions()}

        self.run(settings, story)

    def test_a_turn_is_found_in_the_journal_by_how_it_ended(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("find", folder))
            prompt = self.answering("found")
            never = TurnBegun(turn_id="t0", prompt="never sent", journal_position=0)
            assert await session.find_turn(never) is None
            begun = TurnBegun(
                turn_id="t1", prompt=prompt, journal_position=session.journal_position()
            )
            events = await _send(session, prompt)
            for known in (begun, _with_message(begun, events)):
                outcome = await session.find_turn(known)
                assert outcome is not None
                assert (outcome.status, outcome.response) == (OutcomeStatus.FINISHED, "found")
            assert await session.find_turn(never) is None

        self.run(settings, story)

    def test_an_aborted_turn_is_found_interrupted_and_can_be_taken_out(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("cut", folder))
            await _send(session, self.answering("before"))
            begun = TurnBegun(
                turn_id="t1", prompt=self.stalling(), journal_position=session.journal_position()
            )
            events = await _abort_when_stored(session, begun.prompt)
            assert isinstance(events[-1], TurnFailed)
            begun = _with_message(begun, events)
            outcome = await session.find_turn(begun)
            assert outcome is not None
            assert outcome.status is not OutcomeStatus.FINISHED
            await session.rewind(begun)
            assert await session.find_turn(begun) is None
            assert await _response(session, self.answering("after")) == "after"
            assert isinstance(session, ReadsHistory)
            assert [t.response for t in await session.history()] == ["before", "after"]

        self.run(settings, story)

    def test_a_refused_turn_fails_and_the_session_lives_on(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("bad", folder))
            end = (await _send(session, self.refused()))[-1]
            assert isinstance(end, TurnFailed)
            assert end.message
            assert await _response(session, self.answering("well")) == "well"

        self.run(settings, story)

    def test_a_denied_tool_has_no_effect_and_the_turn_goes_on(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        file = folder / "new.txt"

        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("denied", folder))
            events = await _send(session, self.writing(file))
            decided = [event for event in events if isinstance(event, PermissionDecided)]
            assert [event.allowed for event in decided] == [False]
            ended = [event for event in events if isinstance(event, ToolFinished)]
            assert ended[-1].call.denied
            assert isinstance(events[-1], TurnFinished)

        self.run(settings, story)
        assert not file.exists()

    def test_an_allowed_tool_acts(self, settings: AdapterSettings, folder: Path) -> None:
        file = folder / "new.txt"

        async def story(adapter: Adapter) -> None:
            config = AdapterConfig(
                session_name="allowed", working_directory=folder, policy=AllowAll()
            )
            session = await adapter.create_session(config)
            events = await _send(session, self.writing(file))
            end = events[-1]
            assert isinstance(end, TurnFinished)
            assert [call.ok for call in end.tools] == [True]

        self.run(settings, story)
        assert file.exists()

    def test_every_declared_power_is_there(self, settings: AdapterSettings, folder: Path) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("powers", folder))
            for capability, power in _SESSION_POWERS.items():
                assert isinstance(session, power) is (capability in adapter.capabilities)
            for capability, power in _ADAPTER_POWERS.items():
                assert isinstance(adapter, power) is (capability in adapter.capabilities)

        self.run(settings, story)

    def test_a_fork_holds_the_turns_before_the_cut(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            if not isinstance(adapter, Forks):
                pytest.skip("the adapter does not fork")
            session = await adapter.create_session(_config("trunk", folder))
            for answer in ("one", "two", "three"):
                await _send(session, self.answering(answer))
            await session.close()
            archive = get_archive(self.name, settings)
            third = list(archive.turns(session.info.id))[2]
            cut = await adapter.fork_session(session.info.id, "branch", before_event=third.event_id)
            whole = await adapter.fork_session(session.info.id, "copy")
            assert len({session.info.id, cut.id, whole.id}) == 3
            assert _responses(self, settings, cut) == ["one", "two"]
            assert _responses(self, settings, whole) == ["one", "two", "three"]
            again = await adapter.resume_session(cut.id, _config(None, folder))
            assert await _response(again, self.answering("other")) == "other"
            assert _responses(self, settings, session.info) == ["one", "two", "three"]

        self.run(settings, story)

    def test_a_renamed_session_keeps_its_history(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            if not isinstance(adapter, Renames):
                pytest.skip("the adapter does not rename")
            session = await adapter.create_session(_config("old", folder))
            await _send(session, self.answering("mine"))
            await session.close()
            await adapter.rename_session(session.info.id, "new")

        self.run(settings, story)
        info = self.only(settings)
        assert info.name == "new"
        assert _responses(self, settings, info) == ["mine"]

    def test_a_compacted_session_goes_on(self, settings: AdapterSettings, folder: Path) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(_config("long", folder))
            if not isinstance(session, Compacts):
                pytest.skip("the adapter does not compact")
            for answer in ("one", "two"):
                await _send(session, self.answering(answer))
            compaction = await session.compact("keep the findings")
            assert compaction.summary
            use = await session.context_use()
            assert use is None or 0 < use.used <= use.limit
            assert await _response(session, self.answering("three")) == "three"

        self.run(settings, story)

    def test_the_check_says_what_is_installed(self, settings: AdapterSettings) -> None:
        health = asyncio.run(get_adapter(self.name, settings).check())
        assert health.adapter == self.name
        assert health.installed
        assert health.problem is None
        assert health.version

    def only(self, settings: AdapterSettings) -> SessionInfo:
        """The one session that is there."""
        (info,) = get_archive(self.name, settings).sessions()
        return info


def _config(
    name: str | None, folder: Path | None, *, resume_if_exists: bool = False
) -> AdapterConfig:
    return AdapterConfig(
        session_name=name, working_directory=folder, resume_if_exists=resume_if_exists
    )


def _identity(info: SessionInfo) -> tuple[object, ...]:
    return (info.id, info.name, info.is_remote, info.cwd, info.repository, info.branch, info.client)


async def _send(session: AdapterSession, prompt: str) -> list[TurnEvent]:
    return [event async for event in session.send(prompt, turn_id="t1")]


async def _response(session: AdapterSession, prompt: str) -> str:
    end = (await _send(session, prompt))[-1]
    assert isinstance(end, TurnFinished), end
    return end.response


async def _abort_when_stored(session: AdapterSession, prompt: str) -> list[TurnEvent]:
    events: list[TurnEvent] = []
    aborting: asyncio.Future[None] | None = None
    async for event in session.send(prompt, turn_id="t1"):
        events.append(event)
        if isinstance(event, PromptStored):
            aborting = asyncio.ensure_future(session.abort())
    assert aborting is not None, "the prompt was stored"
    await aborting
    return events


def _with_message(begun: TurnBegun, events: Sequence[TurnEvent]) -> TurnBegun:
    accepted = events[0]
    assert isinstance(accepted, PromptAccepted)
    return TurnBegun(
        turn_id=begun.turn_id,
        prompt=begun.prompt,
        message_id=accepted.message_id,
        journal_position=begun.journal_position,
    )


def _responses(
    contract: AdapterContract, settings: AdapterSettings, info: SessionInfo
) -> list[str]:
    return [turn.response for turn in get_archive(contract.name, settings).turns(info.id)]

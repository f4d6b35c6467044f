"""Sessions: created once, resumed whole, listed, forked, renamed and deleted."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdqctl.adapters import Adapter, AdapterConfig, AdapterSettings
from sdqctl.adapters.base import (
    POWERS,
    Forks,
    ListsModels,
    ListsTools,
    Purges,
    Renames,
    SignsIn,
    find_power,
    power,
)
from sdqctl.errors import (
    CapabilityError,
    SessionExistsError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.model.session import SessionInfo
from sdqctl.testing.contract.stories import (
    Contract,
    config_for,
    response_to,
    send,
)


class SessionContract(Contract):
    """What holds for sessions and for the powers that an adapter declares."""

    def test_an_existing_session_is_never_created_again(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            first = await adapter.create_session(config_for("Taken", folder))
            await send(first, self.answering("kept"))
            await first.close()
            for name in ("Taken", "taken"):
                with pytest.raises(SessionExistsError):
                    await adapter.create_session(config_for(name, folder))

        self.run(settings, story)
        turns = list(self.archive(settings).turns(self.only(settings).id))
        assert [turn.response for turn in turns] == ["kept"]

    def test_a_named_session_goes_on_in_another_process(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def begin(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("audit", folder))
            await send(session, self.answering("one"))
            await session.close()

        async def go_on(adapter: Adapter) -> None:
            config = config_for("audit", folder, resume_if_exists=True)
            session = await adapter.create_session(config)
            assert session.info.name == "audit"
            await send(session, self.answering("two"))
            assert await self.history(settings, session) == ["one", "two"]

        self.run(settings, begin)
        self.run(settings, go_on)
        assert self.only(settings).name == "audit"

    def test_names_that_are_allowed_are_kept_and_found(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        names = ["with blanks and, commas", "ünïcødé 会話", "slash/and\\back", "..", "x" * 100]

        async def story(adapter: Adapter) -> None:
            for name in names:
                session = await adapter.create_session(config_for(name, folder))
                await send(session, self.answering("yes"))
                with pytest.raises(SessionExistsError):
                    await adapter.create_session(config_for(name, folder))

        self.run(settings, story)
        found = [info.name for info in self.archive(settings).sessions()]
        assert sorted(map(str, found)) == sorted(names)

    def test_unknown_sessions_are_not_found(self, settings: AdapterSettings, folder: Path) -> None:
        async def story(adapter: Adapter) -> None:
            assert await adapter.get_session("nobody") is None
            assert list(await adapter.list_sessions()) == []
            with pytest.raises(SessionNotFoundError):
                await adapter.resume_session("nobody", config_for(None, folder))
            with pytest.raises(SessionNotFoundError):
                await adapter.delete_session("nobody")

        self.run(settings, story)

    def test_a_working_directory_that_is_gone_is_an_error(
        self, settings: AdapterSettings, folder: Path, tmp_path: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            with pytest.raises(SessionUnusableError):
                await adapter.create_session(config_for("lost", tmp_path / "nowhere"))
            session = await adapter.create_session(config_for("moved", folder))
            await send(session, self.answering("here"))
            await session.close()
            folder.rename(tmp_path / "moved")
            with pytest.raises(SessionUnusableError):
                await adapter.resume_session(session.info.id, AdapterConfig())
            config = AdapterConfig(working_directory=tmp_path / "moved")
            if not self.moves:
                with pytest.raises(SessionUnusableError):
                    await adapter.resume_session(session.info.id, config)
                (tmp_path / "moved").rename(folder)
            again = await adapter.resume_session(session.info.id, config)
            assert await response_to(again, self.answering("there")) == "there"

        self.run(settings, story)

    def test_the_archive_reports_what_the_adapter_reports(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        begun = datetime.now(UTC)

        async def story(adapter: Adapter) -> None:
            for name in ("first", None):
                session = await adapter.create_session(config_for(name, folder))
                await send(session, self.answering(f"from {name}"))
                await session.close()
            listed = {info.id: info for info in await adapter.list_sessions()}
            archive = self.archive(settings)
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

    def test_an_open_session_is_reported_and_a_deleted_one_is_gone(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            archive = self.archive(settings)
            session = await adapter.create_session(config_for("short", folder))
            await send(session, self.answering("bye"))
            holder = archive.holder(session.info.id)
            assert holder is not None
            await session.close()
            await adapter.delete_session(session.info.id)
            assert archive.get(session.info.id) is None
            assert await adapter.get_session(session.info.id) is None
            assert session.info.id not in {info.id for info in await adapter.list_sessions()}

        self.run(settings, story)

    def test_a_power_that_is_not_there_is_refused_by_name(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("powers", folder))
            for kind in POWERS:
                for of in (adapter, session):
                    if find_power(of, kind) is None:
                        with pytest.raises(CapabilityError, match=self.name):
                            power(of, kind)

        self.run(settings, story)

    def test_a_sign_in_is_a_program_and_is_not_begun_by_asking(
        self, settings: AdapterSettings
    ) -> None:
        async def story(adapter: Adapter) -> None:
            signs_in = find_power(adapter, SignsIn)
            if signs_in is not None:
                program = signs_in.sign_in().command[0]
                assert os.access(program, os.X_OK), program

        self.run(settings, story)

    def test_what_is_listed_has_names(self, settings: AdapterSettings) -> None:
        async def story(adapter: Adapter) -> None:
            models, tools = find_power(adapter, ListsModels), find_power(adapter, ListsTools)
            if models is not None:
                assert all(name.strip() for name in await models.list_models())
            if tools is not None:
                assert (await tools.list_tools()).known

        self.run(settings, story)

    def test_a_deleted_session_is_gone_and_can_be_purged(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            purging = find_power(adapter, Purges)
            session = await adapter.create_session(config_for("gone", folder))
            await send(session, self.answering("bye"))
            await session.close()
            await adapter.delete_session(session.info.id)
            if purging is not None:
                await purging.purge_session(session.info.id)
            assert list(await adapter.list_sessions()) == []

        self.run(settings, story)

    def test_a_fork_holds_the_turns_before_the_cut(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            forking = find_power(adapter, Forks)
            if forking is None:
                pytest.skip("the adapter does not fork")
            session = await adapter.create_session(config_for("trunk", folder))
            for answer in ("one", "two", "three"):
                await send(session, self.answering(answer))
            await session.close()
            archive = self.archive(settings)
            third = list(archive.turns(session.info.id))[2]
            whole = await forking.fork_session(session.info.id, "copy")
            assert self.responses(settings, whole) == ["one", "two", "three"]
            cutting = forking.fork_session(session.info.id, "branch", before_event=third.event_id)
            if not self.forks_at_turns:
                with pytest.raises(CapabilityError, match=self.name):
                    await cutting
                return
            cut = await cutting
            assert len({session.info.id, cut.id, whole.id}) == 3
            assert self.responses(settings, cut) == ["one", "two"]
            again = await adapter.resume_session(cut.id, config_for(None, folder))
            assert await response_to(again, self.answering("other")) == "other"
            assert self.responses(settings, session.info) == ["one", "two", "three"]

        self.run(settings, story)

    def test_a_renamed_session_keeps_its_history(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            renaming = find_power(adapter, Renames)
            if renaming is None:
                pytest.skip("the adapter does not rename")
            session = await adapter.create_session(config_for("old", folder))
            await send(session, self.answering("mine"))
            await session.close()
            await renaming.rename_session(session.info.id, "new")

        self.run(settings, story)
        info = self.only(settings)
        assert info.name == "new"
        assert self.responses(settings, info) == ["mine"]

    def test_the_check_says_what_is_installed(self, settings: AdapterSettings) -> None:
        health = asyncio.run(self.adapter(settings).check())
        assert health.adapter == self.name
        assert health.installed
        assert health.problem is None
        assert health.version


def _identity(info: SessionInfo) -> tuple[object, ...]:
    return (info.id, info.name, info.is_remote, info.cwd, info.repository, info.branch, info.client)

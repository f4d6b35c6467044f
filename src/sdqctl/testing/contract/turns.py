"""Turns: their events, their ends, and what the journal says of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sdqctl.adapters import (
    Adapter,
    AdapterConfig,
    AdapterSettings,
)
from sdqctl.adapters.base import Compacts, Rewinds, StructuresAnswers, find_power
from sdqctl.model.events import (
    MessageAdded,
    PermissionDecided,
    PromptAccepted,
    PromptStored,
    ToolFinished,
    TurnFailed,
    TurnFinished,
)
from sdqctl.model.run import OutcomeStatus, TurnBegun, prompt_digest
from sdqctl.testing.contract.stories import (
    AllowAll,
    Contract,
    abort_when_stored,
    config_for,
    response_to,
    send,
    with_message,
)


class TurnContract(Contract):
    """What holds for one prompt and everything the agent does until it is idle again."""

    def test_a_turn_reports_its_events_in_order(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("talk", folder))
            before = session.journal_position()
            events = await send(session, self.answering("hello"))
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

    def test_an_answer_has_the_structure_that_is_expected_of_it_once(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        schema: dict[str, object] = {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        }

        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("talk", folder))
            structured = find_power(session, StructuresAnswers)
            if structured is None:
                pytest.skip("the adapter does not structure answers")
            assert structured.expect(schema)
            end = (await send(session, "How many?"))[-1]
            assert isinstance(end, TurnFinished)
            assert isinstance(msgspec.json.decode(end.response, type=dict[str, int])["n"], int)
            end = (await send(session, self.answering("hello")))[-1]
            assert isinstance(end, TurnFinished)
            assert end.response == "hello"

        self.run(settings, story)

    def test_a_turn_is_found_in_the_journal_by_how_it_ended(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("find", folder))
            prompt = self.answering("found")
            never = TurnBegun(turn_id="t0", prompt="never sent", journal_position=0)
            assert await session.find_turn(never) is None
            begun = TurnBegun(
                turn_id="t1", prompt=prompt, journal_position=session.journal_position()
            )
            events = await send(session, prompt)
            for known in (begun, with_message(begun, events)):
                outcome = await session.find_turn(known)
                assert outcome is not None
                assert (outcome.status, outcome.response) == (OutcomeStatus.FINISHED, "found")
            assert await session.find_turn(never) is None

        self.run(settings, story)

    def test_the_same_prompt_again_is_a_turn_of_its_own(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("again", folder))
            prompt = self.answering("again")
            await send(session, prompt)
            begun = TurnBegun(
                turn_id="t2", prompt=prompt, journal_position=session.journal_position()
            )
            assert await session.find_turn(begun) is None
            begun = msgspec.structs.replace(begun, exclude_ids=frozenset({"another"}))
            second = with_message(begun, await send(session, prompt))
            outcome = await session.find_turn(begun)
            assert outcome is not None
            assert outcome.message_id == second.message_id
            taken = frozenset({str(second.message_id)})
            assert (
                await session.find_turn(msgspec.structs.replace(begun, exclude_ids=taken)) is None
            )

        self.run(settings, story)

    def test_a_prompt_kept_without_its_secrets_is_found_by_its_digest(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("odd", folder))
            sent = "\n  # Héad \u00a0\t|\r\n\r\n\tindented  \n" + self.answering("odd") + " \n\n"
            begun = TurnBegun(
                turn_id="t1",
                prompt="[redacted]",
                prompt_digest=prompt_digest(sent),
                journal_position=session.journal_position(),
            )
            assert await session.find_turn(begun) is None
            assert await response_to(session, sent) == "odd"
            outcome = await session.find_turn(begun)
            assert outcome is not None
            assert outcome.status is OutcomeStatus.FINISHED

        self.run(settings, story)

    def test_an_aborted_turn_is_found_interrupted_and_can_be_taken_out(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("cut", folder))
            await send(session, self.answering("before"))
            begun = TurnBegun(
                turn_id="t1", prompt=self.stalling(), journal_position=session.journal_position()
            )
            events = await abort_when_stored(session, begun.prompt)
            assert isinstance(events[-1], TurnFailed)
            begun = with_message(begun, events)
            outcome = await session.find_turn(begun)
            assert outcome is not None
            assert outcome.status is not OutcomeStatus.FINISHED
            rewinding = find_power(session, Rewinds)
            if rewinding is not None:
                await rewinding.rewind(begun)
                assert await session.find_turn(begun) is None
            assert await response_to(session, self.answering("after")) == "after"
            said = await self.history(settings, session)
            assert said == ["before", "after"] if rewinding else said[0::2] == ["before", "after"]

        self.run(settings, story)

    def test_a_refused_turn_fails_and_the_session_lives_on(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("bad", folder))
            end = (await send(session, self.refused()))[-1]
            assert isinstance(end, TurnFailed)
            assert end.message
            assert await response_to(session, self.answering("well")) == "well"

        self.run(settings, story)

    def test_a_denied_tool_has_no_effect_and_the_turn_goes_on(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        file = folder / "new.txt"

        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("denied", folder))
            events = await send(session, self.writing(file))
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
            events = await send(session, self.writing(file))
            end = events[-1]
            assert isinstance(end, TurnFinished)
            assert [call.ok for call in end.tools] == [True]

        self.run(settings, story)
        assert file.exists()

    def test_a_compacted_session_goes_on(self, settings: AdapterSettings, folder: Path) -> None:
        async def story(adapter: Adapter) -> None:
            session = await adapter.create_session(config_for("long", folder))
            compacting = find_power(session, Compacts)
            if compacting is None:
                pytest.skip("the adapter does not compact")
            for answer in ("one", "two"):
                await send(session, self.answering(answer))
            events = [e async for e in compacting.compact("keep the findings", turn_id="c")]
            assert isinstance(events[-1], TurnFinished)
            assert events[-1].response
            use = await compacting.context_use()
            assert use is None or 0 < use.used <= use.limit
            assert await response_to(session, self.answering("three")) == "three"

        self.run(settings, story)

"""Sessions of a shared store on the screen of sessions: seen, brought here, gone on with."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import pytest

from sdqctl.cli.context import App
from sdqctl.cli.shared import ConfiguredStore
from sdqctl.cli.ui.keys import applying
from sdqctl.cli.ui.screen import SessionsApp
from sdqctl.sessions.query import Entry
from tests.cli.ui.test_keys import Driven, Story
from tests.fleet.machines import Fleet, Machine

WORK = "SESSION-NAME s\nPROMPT a [[reply: A]]\nASK v 'Publish?' choice(yes|no)\nPROMPT said {{v}}\n"


class Counted(ConfiguredStore):
    """A store that knows how often it was asked."""

    asked = 0

    def sessions(self) -> list[Entry]:
        try:
            return super().sessions()
        finally:
            self.asked += 1

    def was_asked(self, times: int) -> bool:
        """Whether it was asked so often."""
        return self.asked >= times


def drive(machine: Machine, story: Story) -> None:
    """Play a story on the screen of a machine."""
    app = App(environment={**os.environ, **machine.environment})
    app.directory = machine.clone

    async def play() -> None:
        screen = SessionsApp(app, store=Counted(app))
        async with screen.run_test(size=(100, 30)) as pilot:
            await story(Driven(screen, pilot))

    asyncio.run(play())


@pytest.fixture
def gated(fleet: Fleet) -> Fleet:
    """A session `s` that waits at an ASK on machine `a`, and in the store."""
    one = fleet.machine("a")
    one.run("run", fleet.write(WORK), code=8)
    one.run("sessions", "push", "s")
    return fleet


def test_what_waits_elsewhere_is_answered_here_and_goes_on_published(gated: Fleet) -> None:
    two = gated.machine("b")

    async def story(at: Driven) -> None:
        await at.at("s")
        assert "NEEDS YOU 1" in at.screen
        assert at.status("s") == "paused"
        await at.until(lambda: "It is in the shared store, 1 turn" in at.preview)
        keys = {key.action for key in applying(at.app.item)}
        assert keys >= {"answer", "continue", "prompt", "get"}
        assert not keys & {"open", "diff", "fork", "rewind", "apply", "export", "keep", "delete"}
        assert not keys & {"folder", "interrupt"}
        await at.press("a")
        await at.dialog()
        assert "Publish?" in at.screen
        await at.press("enter")
        await at.until(lambda: at.status("s") == "completed")

    drive(two, story)
    assert "said yes" in two.answers()[-1]
    one = gated.machine("a")
    one.run("sessions", "pull", "s")
    assert one.answers() == two.answers()


def test_a_session_is_brought_here_and_is_then_like_all_others(gated: Fleet) -> None:
    two = gated.machine("b")

    async def story(at: Driven) -> None:
        await at.at("s")
        await at.press("g")
        await at.until(lambda: "s is here" in at.said)
        await at.until(lambda: "open" in {key.action for key in applying(at.app.item)})
        assert at.names == ["s"]
        await at.press("enter")
        await at.dialog()
        assert "prompt: a" in at.page

    drive(two, story)
    assert two.answers() == ["A"]


@pytest.mark.thorough
def test_a_prompt_is_sent_to_a_session_that_lives_elsewhere(gated: Fleet) -> None:
    one, two = gated.machine("a"), gated.machine("b")
    one.run("resume", "s", "--store", "--answer", "no")

    async def story(at: Driven) -> None:
        await at.at("s")
        await at.until(lambda: at.status("s") == "completed")
        await at.press("p")
        await at.dialog()
        await at.type("more")
        await at.press("enter")
        await at.until(lambda: "s goes on" in at.said)
        await at.until(lambda: "more" in at.preview)

    drive(two, story)
    one.run("sessions", "pull", "s")
    assert "more" in one.answers()[-1]


def test_a_store_that_cannot_be_reached_is_told_once_and_the_rest_is_seen(fleet: Fleet) -> None:
    one = fleet.machine("a")
    one.run("run", fleet.write("SESSION-NAME mine\nPROMPT a\n"))
    away = Machine(one.name, one.folder, "postgresql://nobody@127.0.0.1:9/none")

    async def story(at: Driven) -> None:
        store = at.app.store
        assert isinstance(store, Counted)
        await at.at("mine")
        for times in (1, 2, 3):
            await at.until(partial(store.was_asked, times))
            await at.press("r")
        told = [note.message for note in at.app._notifications if "127.0.0.1:9" in note.message]
        assert len(told) == 1

    drive(away, story)


@pytest.mark.thorough
def test_a_pause_elsewhere_is_shown_here_before_it_is_passed(fleet: Fleet) -> None:
    one, two = fleet.machine("a"), fleet.machine("b")
    one.run("run", fleet.write("SESSION-NAME s\nPROMPT a\nPAUSE look first\nPROMPT b\n"), code=8)
    one.run("sessions", "push", "s")

    async def story(at: Driven) -> None:
        await at.at("s")
        await at.press("c")
        await at.dialog()
        assert "look first" in at.screen
        await at.press("y")
        await at.until(lambda: at.status("s") == "completed")

    drive(two, story)
    one.run("sessions", "pull", "s")
    assert len(one.answers()) == 2

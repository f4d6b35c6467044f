"""The keys of the screen of sessions, pressed without a terminal, on sessions of the mock."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from sdqctl.cli.context import App
from sdqctl.cli.ui.dialogs import AskLine, Form
from sdqctl.cli.ui.keys import KEYS
from sdqctl.cli.ui.lines_view import LinesView
from sdqctl.cli.ui.pages import Page
from sdqctl.cli.ui.screen import SessionsApp
from tests.bench import Bench
from tests.command import SDQCTL, sdqctl
from tests.terminal import Terminal
from tests.waiting import has_line, wait_for
from tests.workspace.gits import repository

Story = Callable[["Driven"], Awaitable[None]]
_PATIENCE = 120.0


class Driven:
    """The screen at work, and what is seen on it."""

    def __init__(self, app: SessionsApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*("space" if char == " " else char for char in text))

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait for something that is done in a thread or another process."""
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"{self.said}\n{self.screen}"
            await self.pilot.pause(0.02)

    async def dialog(self) -> None:
        """Wait until something is asked or shown over the list."""
        await self.until(lambda: len(self.app.screen_stack) > 1)
        await self.pilot.pause()

    async def closed(self) -> None:
        """Wait until nothing lies over the list."""
        await self.until(lambda: len(self.app.screen_stack) == 1)
        await self.pilot.pause()

    async def at(self, name: str) -> None:
        """Put the cursor on a session."""
        await self.until(lambda: name in self.names)
        await self.press("home")
        for _ in self.names:
            if self.label == name:
                return
            await self.press("down")
        raise AssertionError(f"{name} is not among {self.names}")

    @property
    def names(self) -> list[str]:
        return [item.entry.info.label for item in self.app.view.shown()]

    @property
    def label(self) -> str | None:
        return None if self.app.item is None else self.app.item.entry.info.label

    @property
    def screen(self) -> str:
        """The text of the whole screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    @property
    def preview(self) -> str:
        return self.app.screen_stack[0].query_one("#preview", LinesView).text

    @property
    def page(self) -> str:
        assert isinstance(self.app.screen, Page)
        return self.app.screen.text

    def status(self, name: str) -> str:
        items = {item.entry.info.label: item for item in self.app.view.items}
        return items[name].entry.status.value if name in items else ""

    @property
    def said(self) -> str:
        """What stands below the list, and what is wrong."""
        toasts = " ".join(note.message for note in self.app._notifications)
        return f"{self.app._said} {toasts}"


def drive(story: Story, size: tuple[int, int] = (80, 24)) -> None:
    """Play a story on the screen."""

    async def play() -> None:
        app = SessionsApp(App(environment=os.environ))
        async with app.run_test(size=size) as pilot:
            await story(Driven(app, pilot))

    asyncio.run(play())


def test_a_message_that_comes_after_the_end_is_passed_over(bench: Bench) -> None:
    left: list[SessionsApp] = []

    async def leave(driven: Driven) -> None:
        left.append(driven.app)

    drive(leave)
    (app,) = left
    assert not app.screen_stack
    app.on_sessions_app_board_read(SessionsApp.BoardRead([], (0, 0.0)))
    app.on_session_list_chosen()
    app.on_session_list_opened()


@pytest.fixture
def sessions(bench: Bench) -> Bench:
    """One session that is done, one that waits at an ASK, one at a PAUSE, one that failed."""
    for name, text in {
        "done": "PROMPT hello [[reply: The answer is [bold]42[/bold].]]\n",
        "gated": 'ASK v "Publish?" choice(yes|no)\nPROMPT said {{v}}\n',
        "paused": "PAUSE look first\nPROMPT b [[reply: B]]\n",
        "broken": "PROMPT a [[fail: request]]\n",
    }.items():
        path = bench.write(f"{name}.conv", f"SESSION-NAME {name}\n{text}")
        assert sdqctl("run", path).code in (0, 4, 8)
    return bench


def test_what_needs_you_stands_first_and_what_was_said_beside_it(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.until(lambda: len(at.names) == 4)
        assert set(at.names[:3]) == {"gated", "paused", "broken"}
        assert "NEEDS YOU 3" in at.screen
        assert "RECENT 1" in at.screen
        assert "4 sessions · 3 need you" in at.screen
        await at.at("done")
        await at.until(lambda: "[bold]42[/bold]" in at.preview)

    drive(story)


def test_enter_shows_the_steps_and_the_whole_talk(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.at("done")
        await at.press("enter")
        await at.dialog()
        assert "prompt: hello" in at.page
        assert "The answer is [bold]42[/bold]." in at.page
        await at.press("escape")
        await at.press("question_mark")
        await at.dialog()
        assert all(key.help in at.page for key in KEYS)

    drive(story)


def test_an_ask_is_answered_and_a_pause_passed_and_both_go_on(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.at("gated")
        await at.press("a")
        await at.dialog()
        assert "Publish?" in at.screen
        await at.press("enter")
        await at.until(lambda: at.status("gated") == "completed")
        await at.at("paused")
        await at.press("c")
        await at.dialog()
        assert "look first" in at.screen
        await at.press("y")
        await at.until(lambda: at.status("paused") == "completed")

    drive(story)
    shown = sdqctl("sessions", "show", "gated", "--transcript").out
    assert "said yes" in shown


def test_a_permission_question_of_a_run_elsewhere_is_answered(sessions: Bench) -> None:
    text = "SESSION-NAME asks\nPROMPT a [[tool: shell touch made]] [[reply: A]]\n"
    assert sdqctl("run", sessions.write("asks.conv", text), "--ask", "--detach").code == 0

    async def story(at: Driven) -> None:
        await at.until(lambda: at.names[:1] == ["asks"] and at.app.item is not None)
        await at.until(lambda: "asks you" in at.screen)
        await at.at("asks")
        await at.press("a")
        await at.dialog()
        assert "touch made" in at.screen
        await at.press("y")
        await at.until(lambda: at.status("asks") == "completed")

    drive(story)
    assert (sessions.project / "made").exists()


def test_a_prompt_is_sent_and_a_run_interrupted(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.at("done")
        await at.press("p")
        await at.dialog()
        await at.type("more [[stall]]")
        await at.press("enter")
        await at.until(lambda: at.status("done") == "running")
        await at.until(lambda: "RUNNING 1" in at.screen)
        await at.at("done")
        await at.press("x")
        await at.dialog()
        await at.press("y")
        await at.until(lambda: at.status("done") == "interrupted")

    drive(story)


@pytest.mark.thorough
def test_a_run_is_begun_with_its_inputs(sessions: Bench) -> None:
    text = 'INPUT who text "whom to greet"\nPROMPT greet {{who}}\n'
    sessions.write("a-greeting.conv", text)

    async def story(at: Driven) -> None:
        await at.until(lambda: len(at.names) == 4)
        await at.press("n")
        await at.dialog()
        at.app.screen.query_one(OptionList).highlighted = 1
        await at.press("enter")
        await at.until(lambda: isinstance(at.app.screen, Form))
        await at.until(lambda: "whom to greet" in at.screen)
        await at.type("all")
        await at.press("enter")
        await at.type("hi")
        await at.press("enter")
        await at.until(lambda: at.status("hi") == "completed")

    drive(story)
    assert "greet all" in sdqctl("sessions", "show", "hi", "--transcript").out


def test_a_session_is_forked_kept_exported_and_deleted(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.at("done")
        await at.press("f")
        await at.dialog()
        await at.press("enter")
        await at.until(lambda: isinstance(at.app.screen, AskLine))
        await at.type("copy")
        await at.press("enter")
        await at.at("copy")
        await at.press("k")
        await at.until(lambda: "copy*" in at.screen)
        await at.press("e")
        await at.dialog()
        await at.press("enter")
        await at.until(lambda: (sessions.project / "copy.html").exists())
        await at.press("delete")
        await at.dialog()
        assert "copy: completed" in at.screen
        await at.press("y")
        await at.until(lambda: "copy" not in at.names)

    drive(story)
    assert "copy" in sdqctl("sessions", "trash", "list").out


@pytest.mark.thorough
def test_what_a_step_changed_is_shown_and_rewound(sessions: Bench) -> None:
    repository(sessions.project)
    text = (
        "SESSION-NAME edits\nMODE implement\nPROMPT a [[tool: write a.txt one]]\n"
        "PROMPT b [[tool: write b.txt two]]\n"
    )
    assert sdqctl("run", sessions.write("edits.conv", text)).code == 0

    async def story(at: Driven) -> None:
        await at.at("edits")
        await at.press("d")
        await at.dialog()
        await at.press("down", "enter")
        await at.until(lambda: isinstance(at.app.screen, Page))
        assert "+one" in at.page
        assert "+two" not in at.page
        await at.press("escape")
        await at.closed()
        await at.press("w")
        await at.dialog()
        await at.press("down", "enter")
        await at.until(lambda: "Rewind edits to step 1?" in at.screen)
        await at.press("y")
        await at.until(lambda: not (sessions.project / "b.txt").exists())
        await at.closed()
        await at.press("m")
        await at.dialog()
        await at.press("enter")
        await at.until(lambda: "its changes are there already" in at.said)

    drive(story)


@pytest.mark.thorough
def test_search_finds_names_and_what_was_said_and_filters_narrow(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.until(lambda: len(at.names) == 4)
        await at.press("slash")
        await at.type("broke")
        await at.until(lambda: at.names == ["broken"])
        await at.press("escape")
        await at.press("slash")
        await at.type("answer")
        await at.until(lambda: at.names == ["done"])
        await at.press("escape")
        assert len(at.names) == 4
        await at.press("F")
        await at.dialog()
        options = at.app.screen.query_one(OptionList)
        names = [name for name, _ in at.app.view.choices()]
        options.highlighted = names.index("status failed")
        await at.press("enter")
        await at.until(lambda: at.names == ["broken"])
        assert "only failed" in at.screen
        await at.press("escape")
        await at.until(lambda: len(at.names) == 4)

    drive(story)


@pytest.mark.each(3)
@pytest.mark.parametrize("size", [(40, 15), (80, 24), (140, 40)])
def test_no_key_is_shown_that_cannot_be_pressed(size: tuple[int, int], sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.until(lambda: len(at.names) == 4)
        for name in at.names:
            await at.at(name)
            bar = str(at.app.query_one("#keys", Static).render())
            assert "? all keys" in bar
            assert all(len(line) <= size[0] for line in bar.split("\n"))
            for key in KEYS:
                shown = f" {key.shown} {key.label} " in bar
                assert not shown or at.app.check_action(key.action, ()), key

    drive(story, size)


def test_keys_for_an_unfinished_run_and_for_kept_files_need_them(sessions: Bench) -> None:
    assert sdqctl("resume", "done", "--prompt", "x [[fail: request]]").code == 4
    actions = ("continue", "diff", "rewind", "apply")

    async def without(at: Driven) -> None:
        await at.until(lambda: len(at.names) == 4)
        for name, expected in {"done": ["continue"], "broken": ["continue"]}.items():
            await at.at(name)
            assert [key for key in actions if at.app.check_action(key, ())] == expected

    drive(without)
    repository(sessions.project)
    text = "SESSION-NAME edits\nMODE implement\nPROMPT a [[tool: write a.txt one]]\n"
    assert sdqctl("run", sessions.write("edits.conv", text)).code == 0

    async def with_files(at: Driven) -> None:
        await at.at("edits")
        assert [key for key in actions if at.app.check_action(key, ())] == [*actions[1:]]

    drive(with_files)


def test_what_was_begun_is_not_said_any_more_once_it_failed(sessions: Bench) -> None:
    (sessions.project / "broken.conv").unlink()

    async def story(at: Driven) -> None:
        await at.at("broken")
        await at.press("c")
        await at.until(lambda: "is not there any more" in at.said)
        assert "beginning" not in at.app._said

    drive(story)


@pytest.mark.each(2)
@pytest.mark.parametrize("key", ["N", "e"])
def test_a_permission_question_is_refused_for_good_or_with_words(key: str, sessions: Bench) -> None:
    text = "SESSION-NAME asks\nPROMPT a [[tool: shell touch made]] [[reply: A]]\n"
    if key == "N":  # it is not asked again
        text += "PROMPT b [[tool: shell touch made]] [[reply: B]]\n"
    assert sdqctl("run", sessions.write("asks.conv", text), "--ask", "--detach").code == 0

    async def story(at: Driven) -> None:
        await at.until(lambda: "asks you" in at.screen)
        await at.at("asks")
        await at.press("a")
        await at.dialog()
        await at.press(key)
        if key == "e":
            await at.until(lambda: isinstance(at.app.screen, AskLine))
            await at.type("write a test first")
            await at.press("enter")
        await at.until(lambda: at.status("asks") == "completed")

    try:
        drive(story)
    finally:
        sdqctl("sessions", "interrupt", "asks")
    assert not (sessions.project / "made").exists()
    if key == "e":
        assert "with another way" in sdqctl("sessions", "show", "asks", "--audit").out


def test_what_is_not_seen_by_itself_is_read_anew(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.until(lambda: len(at.names) == 4)
        at.app.view.items = []
        await at.press("r")
        await at.until(lambda: len(at.names) == 4)

    drive(story)


@pytest.mark.each(2)
@pytest.mark.parametrize("exists", [True, False])
def test_a_shell_is_opened_in_its_folder(exists: bool, sessions: Bench) -> None:
    shell = sessions.write("shell", "#!/bin/sh\npwd > seen\n")
    shell.chmod(0o700 if exists else 0o600)
    with Terminal(["ui"], rows=24, environment={"SHELL": str(shell)}) as terminal:
        terminal.wait_for("NEEDS YOU 3")
        terminal.type("o")
        if exists:
            seen = sessions.project / "seen"
            wait_for(lambda: has_line(seen))
            assert seen.read_text() == f"{sessions.project}\n"
        else:
            terminal.wait_for("no shell can be opened")
        terminal.wait_for("NEEDS YOU 3")
        terminal.type("q")
        assert terminal.wait_for_end() == 0


def test_the_palette_offers_what_the_keys_do(sessions: Bench) -> None:
    async def story(at: Driven) -> None:
        await at.at("done")
        offered = {command.title for command in at.app.get_system_commands(at.app.screen)}
        assert {"Prompt", "Fork", "Delete", "New run"} <= offered
        assert "Answer" not in offered

    drive(story)


def test_nothing_of_a_name_or_an_answer_drives_the_terminal(bench: Bench) -> None:
    evil = "\x1b[31m[red]\u202e\x07[/red]\x9b2J"
    path = bench.write("evil.conv", f"SESSION-NAME [b]e\nPROMPT p{evil} [[reply: r{evil}]]\n")
    assert sdqctl("run", path).code == 0

    async def story(at: Driven) -> None:
        await at.at("[b]e")
        await at.until(lambda: "[red]" in at.preview)
        for shown in (at.screen, at.preview):
            assert not any(char in shown for char in "\x1b\x07\x9b\u202e")
        assert "[b]e" in at.screen
        await at.press("enter")
        await at.dialog()
        assert not any(char in at.page for char in "\x1b\x07\x9b\u202e")

    drive(story)


def test_a_kill_elsewhere_is_seen(sessions: Bench) -> None:
    path = sessions.write("stalls.conv", "SESSION-NAME stalls\nPROMPT a [[stall]]\n")
    pid: Any = sdqctl("run", path, "--detach", "--format", "json").json["pid"]

    async def story(at: Driven) -> None:
        await at.until(lambda: at.status("stalls") == "running")
        os.kill(pid, 9)
        await at.until(lambda: at.status("stalls") == "interrupted")

    try:
        drive(story)
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, 9)


def test_without_a_terminal_or_the_library_it_says_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = sdqctl("ui")
    assert told.code == 2
    assert "needs a terminal" in told.err
    hidden = bench.write(
        "hidden/textual/__init__.py", "raise ModuleNotFoundError(name='textual')\n"
    )
    with Terminal(["ui"], environment={"PYTHONPATH": str(hidden.parent.parent)}) as terminal:
        assert terminal.wait_for_end() == 5
        assert "pipx install 'sdqctl[ui]'" in terminal.text


def test_it_ends_with_its_terminal(sessions: Bench) -> None:
    """Also where it was begun by what no end of a terminal ends."""
    begin = f"trap '' HUP; exec {' '.join(SDQCTL)} ui"
    with Terminal(["-c", begin], program="/bin/sh", rows=24) as terminal:
        terminal.wait_for("NEEDS YOU 3")
        assert terminal.take_away() == -signal.SIGHUP


def test_the_real_thing_on_a_real_terminal(sessions: Bench) -> None:
    with Terminal(["ui"], columns=80, rows=24) as terminal:
        terminal.wait_for("NEEDS YOU 3")
        terminal.resize(40, 15)
        terminal.wait_for("all keys")
        terminal.resize(120, 40)
        terminal.wait_for("NEEDS YOU 3")
        terminal.type("q")
        assert terminal.wait_for_end() == 0

"""Choosing a session on a terminal: `resume` without a name, and `--last`."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from sdqctl.cli.context import App
from sdqctl.sessions.recent import Recent, resumable
from tests.bench import Bench
from tests.cli.screens import SIZES, compare, is_golden
from tests.command import sdqctl
from tests.terminal import CTRL_C, CTRL_D, ENTER, LIMIT, Terminal

UP, DOWN, ESCAPE, TAB = "\x1b[A", "\x1b[B", "\x1b", "\t"


@pytest.fixture
def three(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Sessions `audit-main` (paused), `notes` (elsewhere) and, the last, one of a long name."""
    monkeypatch.setenv("HOME", str(bench.project.parent))
    other = bench.project.parent / "other"
    other.mkdir()
    asked = "Which inputs reach a shell or a database? [[reply: the parser of zebras]]"
    bench.write("audit.conv", f'SESSION-NAME audit-main\nPROMPT {asked}\nPAUSE "read"\nPROMPT x\n')
    assert sdqctl("run", "audit.conv").code == 8
    notes = "Write the notes of the release\u202e, please"
    assert sdqctl("run", "-p", notes, "--session-name", "notes", cwd=other).code == 0
    name = "a name that is as long as names of sessions are when somebody means it"
    assert sdqctl("run", "-p", "Fix the tests", "--session-name", name).code == 0
    return bench


@pytest.mark.each(3)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_sessions_are_listed_found_by_their_text_and_gone_on_with(
    columns: int, rows: int, three: Bench
) -> None:
    with Terminal(["resume"], columns=columns, rows=rows) as terminal:
        terminal.wait_for("3 of 3")
        terminal.wait_for("Fix the tests")
        terminal.wait_for("Which inputs")
        terminal.wait_for("Write the notes")
        terminal.wait_until(lambda: is_golden("picker", columns, rows, terminal.golden))
        compare("picker", columns, rows, terminal.golden)
        terminal.type("zebras PARSER")
        terminal.wait_for("1 of 3\n")
        assert "❯ audit-main" in terminal.text
        terminal.wait_until(lambda: is_golden("picker-found", columns, rows, terminal.golden))
        compare("picker-found", columns, rows, terminal.golden)
        terminal.type(ENTER)
        terminal.wait_for("leaves.")
        terminal.wait_for_prompt()
        assert re.search("audit-main · .+ · 1 turn", terminal.text)
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


def test_arrows_move_tab_narrows_and_another_size_keeps_the_choice(three: Bench) -> None:
    with Terminal(["resume"], columns=80, rows=24) as terminal:
        terminal.wait_for("❯ a name")
        terminal.type(DOWN)
        terminal.wait_for("❯ notes")
        terminal.resize(50, 8)
        terminal.wait_for("other · Write the notes")
        assert "❯ notes" in terminal.text
        terminal.type(TAB)
        terminal.wait_for("2 of 3 of this project")
        terminal.wait_until(lambda: "notes" not in terminal.text)
        terminal.type(f"{DOWN}{DOWN}{UP}")
        terminal.wait_for("❯ a name")
        terminal.type(f"nothing like it{ENTER}")
        terminal.wait_for("nothing matches")


@pytest.mark.each(3)
@pytest.mark.parametrize("key", [ESCAPE, CTRL_C, CTRL_D])
def test_leaving_is_130_and_nothing_is_done(key: str, three: Bench) -> None:
    with Terminal(["resume", "--prompt", "x"]) as terminal:
        terminal.wait_for("3 of 3")
        terminal.type(key)
        assert terminal.wait_for_end() == 130
        assert "no session was chosen" in terminal.text


def test_the_one_that_is_chosen_gets_the_prompt_or_its_remaining_steps(three: Bench) -> None:
    with Terminal(["resume", "--continue"]) as terminal:
        terminal.wait_for("1 of 1")
        terminal.type(ENTER)
        assert terminal.wait_for_end() == 0
        assert "run completed: 3 steps in" in terminal.text
    with Terminal(["resume", "--continue"]) as terminal:
        assert terminal.wait_for_end() == 7
        assert "no session has steps left" in terminal.text


def test_without_a_terminal_the_last_ones_are_named(three: Bench) -> None:
    done = sdqctl("resume")
    assert (done.code, done.out) == (2, "")
    assert "'a name that is as long as names of sessions are when somebody means it'" in done.err
    assert "audit-main" in done.err
    assert "notes" not in done.err
    assert "--last" in done.err


def test_a_terminal_without_a_screen_gets_no_list_to_move_in(three: Bench) -> None:
    for command, said in {"resume": "audit-main", "ui": "sessions list --watch"}.items():
        with Terminal([command], environment={"TERM": "dumb"}) as terminal:
            assert terminal.wait_for_end() == 2
            assert said in terminal.text.replace("\n", "")
        assert b"\x1b[" not in terminal.raw


def test_the_last_is_that_of_the_project_and_never_silently_of_another(three: Bench) -> None:
    done = sdqctl("resume", "--last", "--prompt", "more", "--format", "json")
    assert done.json["session"]["name"].startswith("a name")
    done = sdqctl("resume", "--last", "--prompt", "more", cwd=three.project.parent / "other")
    assert "going on in session notes" in done.err
    empty = three.project.parent / "empty"
    empty.mkdir()
    done = sdqctl("resume", "--last", "--prompt", "more", cwd=empty)
    assert done.code == 7
    assert "notes" in done.err
    assert sdqctl("resume", "notes", "--last").code == 2


def test_before_the_first_session_the_way_to_one_is_told(bench: Bench) -> None:
    for arguments in (["resume"], ["resume", "--last"]):
        with Terminal(arguments) as terminal:
            assert terminal.wait_for_end() == 7
            assert "sdqctl chat" in terminal.text


def test_words_are_found_across_turns_names_first_and_secrets_are_not_shown(
    bench: Bench,
) -> None:
    bench.run("SESSION-NAME one\nPROMPT first [[reply: heron]]\nPROMPT second [[reply: ibis]]\n")
    bench.run("SESSION-NAME heron-ibis\nPROMPT x\n")
    bench.run("SESSION-NAME two\nPROMPT password=hunter2hunter2 [[reply: heron]]\n")
    told = threading.Event()
    app = App(environment=os.environ)
    with Recent(app, resumable(app), told.set) as recent:

        def names(typed: str) -> list[str]:
            recent.found(typed)
            while recent.is_searching():
                assert told.wait(LIMIT)
                told.clear()
            return [entry.info.label for entry in recent.found(typed)]

        assert names("HERON ib") == ["heron-ibis", "one"]
        assert names("heron") == ["heron-ibis", "two", "one"]
        assert names("- *") == []
        assert recent.problem is None
        two = next(entry for entry in recent.found("two") if entry.info.label == "two")
        while (prompt := recent.first_prompt(two)) is None:
            assert told.wait(LIMIT)
            told.clear()
        assert "hunter2" not in prompt


def test_texts_that_cannot_be_searched_are_said_and_names_still_are(
    three: Bench, home: Path
) -> None:
    index = home / "sdqctl" / "search.db"
    index.mkdir()
    with Terminal(["resume"]) as terminal:
        terminal.wait_for("3 of 3")
        terminal.type("notes")
        terminal.wait_for("cannot be searched")
        assert "❯ notes" in terminal.text

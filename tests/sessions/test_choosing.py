"""What became of a session since it was chosen counts: it is looked at again before it goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.terminal import ENTER, Terminal

PAUSED = "PROMPT one [[reply: A]]\nPAUSE\nPROMPT two\n"
CALLING = "CALL part.conv\n"


def names(*flags: str) -> set[str]:
    found = sdqctl("sessions", "list", "--format", "json", *flags).json
    return {session["name"] for session in found}


def meanwhile(*arguments: str, do: Callable[[], None]) -> str:
    """What a deletion says that asks, if something is done before the answer is yes."""
    with Terminal(["sessions", *arguments]) as terminal:
        terminal.wait_for("[y/N]")
        do()
        terminal.type(f"y{ENTER}")
        assert terminal.wait_for_end() == 0, terminal.text
    return terminal.text


@pytest.fixture
def three(bench: Bench) -> Bench:
    for name in ("old-1", "old-2", "old-3"):
        assert bench.run("PROMPT x\n", "--session-name", name).done.code == 0
    return bench


def protect() -> None:
    assert sdqctl("sessions", "keep", "old-2").code == 0


def use() -> None:
    assert sdqctl("resume", "old-2", "-p", "more").code == 0


def leave_unfinished() -> None:
    Path("paused.conv").write_text(PAUSED)
    assert sdqctl("run", "paused.conv", "--session-name", "old-2", "--resume-if-exists").code == 8


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        (protect, "protected"),
        (use, "used just now"),
        (leave_unfinished, "used just now"),
    ],
)
def test_cleanup_spares_what_changed_since_it_asked(
    do: Callable[[], None], reason: str, three: Bench
) -> None:
    said = meanwhile("cleanup", "--older-than", "0", "--filter", "old-*", do=do)
    assert "kept: old-2: " in said
    assert reason in said
    assert names() == {"old-2"}


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (["--older-than", "0"], {"old-2"}),
        (["--filter", "old-*"], set()),
        (["old-1", "old-2", "old-3"], set()),
    ],
    ids=["age", "filter", "names"],
)
def test_delete_spares_what_was_used_since_it_asked_if_it_was_for_an_age(
    flags: list[str], left: set[str], three: Bench
) -> None:
    meanwhile("delete", *flags, do=use)
    assert names() == left


@pytest.mark.parametrize("command", ["delete", "cleanup"])
def test_what_got_another_name_since_is_not_meant(command: str, three: Bench) -> None:
    assert three.run("PROMPT x\n", "--session-name", "s").done.code == 0
    assert sdqctl("sessions", "rename", "s", "old-4").code == 0

    def rename() -> None:
        assert sdqctl("sessions", "rename", "old-4", "mine").code == 0

    flags = ["--older-than", "0"] if command == "cleanup" else []
    assert "kept: old-4: renamed just now" in meanwhile(
        command, *flags, "--filter", "old-*", do=rename
    )
    assert names() == {"mine"}


def test_cleanup_spares_a_whole_tree_of_which_a_part_changed(bench: Bench) -> None:
    bench.write("part.conv", "PROMPT part [[reply: said]]\n")
    for name in ("s", "t"):
        assert bench.run(CALLING, "--session-name", name).done.code == 0

    def protect_part() -> None:
        assert sdqctl("sessions", "keep", "s/part").code == 0

    said = meanwhile("cleanup", "--older-than", "0", do=protect_part)
    assert names("--children") == {"s", "s/part"}
    assert said.count("kept: s") == 2

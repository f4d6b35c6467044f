"""Going back to before a prompt that was cut off, on an agent that copies conversations."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.adapters.acp.scripted import Scripted
from tests.command import Running, sdqctl

_REWIND = ("--on-interrupted", "rewind")


def test_a_prompt_that_was_cut_off_is_taken_out_with_its_changes(scripted: Scripted) -> None:
    _cut_off(scripted, *_REWIND)
    done = sdqctl("resume", "talk", "--continue", "--allow-all-tools")
    assert done.code == 0, done.err
    assert "sent again with its files taken back" in done.err
    assert Path("log").read_text() == "line\n"
    shown = sdqctl("sessions", "show", "talk", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["first", "second", "third"]
    known = [[turn["prompt"][:3] for turn in one["turns"]] for one in scripted.sessions()]
    assert sorted(known) == [["One", "Two"], ["One", "Two", "Thr"]], "and no copy is left"


def test_going_back_is_finished_by_the_command_after_a_kill(scripted: Scripted) -> None:
    _cut_off(scripted, *_REWIND)
    on = ("resume", "talk", "--continue", "--allow-all-tools")
    assert sdqctl(*on, SDQCTL_CRASH_AT="acp.rewind:1").code == -signal.SIGKILL
    done = sdqctl(*on)
    assert done.code == 0, done.err
    assert Path("log").read_text() == "line\n"
    shown = sdqctl("sessions", "show", "talk", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["first", "second", "third"]


@pytest.mark.thorough
def test_the_first_prompt_goes_back_to_a_new_conversation(scripted: Scripted) -> None:
    _cut_off(scripted, *_REWIND, first=True)
    done = sdqctl("resume", "talk", "--continue", "--allow-all-tools")
    assert done.code == 0, done.err
    assert Path("log").read_text() == "line\n"
    shown = sdqctl("sessions", "show", "talk", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["second", "third"]


@pytest.mark.thorough
def test_without_a_copy_nothing_is_taken_back_and_that_is_told(scripted: Scripted) -> None:
    _cut_off(scripted)
    refused = sdqctl("resume", "talk", "--continue", *_REWIND)
    assert refused.code == 4
    assert "no copy of the conversation before it" in refused.err
    assert Path("log").read_text() == "line\n"
    scripted.configure(forks=False)
    refused = sdqctl("resume", "talk", "--continue", *_REWIND)
    assert refused.code == 5
    assert "does not take prompts out of conversations" in refused.err
    done = sdqctl("resume", "talk", "--continue", "--on-interrupted", "continue")
    assert done.code == 0, done.err


def _cut_off(scripted: Scripted, *flags: str, first: bool = False) -> None:
    """A run that is killed after its tool has written, and before the tool has ended."""
    beside = scripted.home.with_name("beside")
    beside.mkdir()
    once = beside / "once"
    act = f"echo line >> log; test -e {once} || {{ touch {once}; sleep 600; }}"
    before = "" if first else "PROMPT One. [[reply: first]]\n"
    Path("talk.conv").write_text(
        f"SESSION-NAME talk\nMODE implement\nALLOW-DIR {beside}\n{before}"
        f"PROMPT Two. [[run: {act}]] [[reply: second]]\nPROMPT Three. [[reply: third]]\n"
    )
    with Running(
        "run",
        "talk.conv",
        "--allow-all-tools",
        *flags,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while not once.exists():
            assert time.monotonic() < deadline, "the tool is at work within two minutes"
            assert process.poll() is None, "the run goes on"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)

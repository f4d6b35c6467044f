"""`sdqctl chat`: a conversation that begins a session, or goes on in one."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.cli.screens import SIZES, compare
from tests.command import SDQCTL, sdqctl
from tests.terminal import CTRL_C, CTRL_D, ENTER, Terminal

CTRL_Z = "\x1a"


def names() -> list[str]:
    return sorted(entry["name"] for entry in sdqctl("sessions", "list", "--format", "json").json)


def prompts(session: str) -> list[str]:
    shown = sdqctl("sessions", "show", session, "--format", "json").json
    return [turn["prompt"].split(" [[")[0] for turn in shown["turns"]]


@pytest.mark.each(3)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_chat_is_called_after_its_first_message_and_says_so(
    columns: int, rows: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(bench.project.parent))
    with Terminal(["chat", "-m", "small"], columns=columns, rows=rows) as terminal:
        terminal.wait_for("leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"What do you see in here? [[reply: Two **files**.]]{ENTER}")
        terminal.wait_for("this session is called what-do-you-see-in-here")
        terminal.wait_for_prompt()
        terminal.type(f"/rename{ENTER}")
        terminal.wait_for("error:")
        terminal.wait_for_prompt()
        compare("chat", columns, rows, terminal.golden)
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
        assert "`sdqctl resume what-do-you-see-in-here`" in terminal.text
    assert names() == ["what-do-you-see-in-here"]
    assert prompts("what-do-you-see-in-here") == ["What do you see in here?"]


def test_a_message_that_was_not_answered_is_told_and_gone_on_with(bench: Bench) -> None:
    bench.run("SESSION-NAME talk\nPROMPT a [[reply: A]]\n")
    sdqctl("resume", "talk", "-p", "b [[fail: request x1]] [[reply: It is answered.]]")
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("your last message is not answered: /continue goes on with it")
        terminal.wait_for_prompt()
        terminal.type(f"/continue{ENTER}")
        terminal.wait_for("\nIt is answered.")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert prompts("talk") == ["a", "b"]


def test_a_name_is_a_new_session_and_then_goes_on_in_it(bench: Bench) -> None:
    for number in range(2):
        with Terminal(["chat", "review 1"]) as terminal:
            terminal.wait_for("· 1 turn" if number else "new session review 1")
            terminal.wait_for_prompt()
            terminal.type(f"Message {number} [[reply: Answer {number}.]]{ENTER}")
            terminal.wait_for(f"\nAnswer {number}.")
            terminal.wait_for_prompt()
            terminal.type(CTRL_D)
            assert terminal.wait_for_end() == 0
    assert prompts("review 1") == ["Message 0", "Message 1"]


def test_a_name_like_one_that_is_there_is_told_before_anything_is_made(bench: Bench) -> None:
    bench.run("SESSION-NAME audit-main\nPROMPT x\n")
    with Terminal(["chat", "audit-mian"]) as terminal:
        terminal.wait_for("there is a session audit-main, too")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert names() == ["audit-main"]


def test_commands_before_the_first_message_say_that_there_is_no_session(bench: Bench) -> None:
    with Terminal(["chat", "-m", "small"]) as terminal:
        terminal.wait_for_prompt()
        for command in ("/rename x", "/fork x", "/export x.md", "/continue"):
            terminal.type(f"{command}{ENTER}")
            terminal.wait_for(f"> {command}\nerror: nothing was said yet")
            terminal.wait_for_prompt()
        terminal.type(f"/compact{ENTER}")
        terminal.wait_for("error: /compact: there is no turn yet")
        terminal.type(f"/model{ENTER}")
        terminal.wait_for("model: small")
        terminal.type(f"/exit{ENTER}")
        assert terminal.wait_for_end() == 0
    assert names() == []


def test_a_turn_that_is_shown_says_how_its_tools_ended(bench: Bench) -> None:
    tool = "[[tool: shell rm -rf src]]"
    assert bench.run(f"MODE audit\nPROMPT a {tool}\n").done.code == 0
    with Terminal(["chat", "s"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type(f"/show 1{ENTER}")
        terminal.wait_for("  bash rm -rf src: denied")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert "- tool `bash` rm -rf src: denied" in sdqctl("sessions", "show", "s", "--transcript").out


def test_ctrl_z_suspends_at_the_prompt_and_during_a_turn(bench: Bench) -> None:
    variables = {"PS1": "shell: "}
    arguments = ["--norc", "--noprofile", "-i"]
    with Terminal(arguments, program=shutil.which("bash"), environment=variables) as terminal:
        terminal.wait_for("shell:")
        terminal.type(f"{shlex.join(SDQCTL)} chat s{ENTER}")
        terminal.wait_for("leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"Wait{CTRL_Z}")
        terminal.wait_for("Stopped")
        terminal.type(f"fg{ENTER}")
        terminal.wait_until(lambda: terminal.text.endswith("> Wait"))
        terminal.type(f" [[stall]]{ENTER}")
        terminal.wait_for("waiting for the model")
        terminal.type(CTRL_Z)
        terminal.wait_until(lambda: terminal.text.count("Stopped") == 2)
        terminal.type(f"fg{ENTER}")
        terminal.wait_until(lambda: terminal.text.count("waiting for the model") > 0)
        terminal.type("and this")
        terminal.wait_for("» and this")
        terminal.type(CTRL_C)
        terminal.wait_for("aborted")
        terminal.wait_until(lambda: terminal.text.endswith("> and this"))
        terminal.type(f"{CTRL_C}{CTRL_D}")
        terminal.wait_for("goes on here")
    assert prompts("s") == ["Wait"]


def test_a_message_that_failed_keeps_the_name_for_the_next_one(bench: Bench) -> None:
    with Terminal(["chat", "--retry-for", "0s"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type(f"Try it [[fail: request x1]]{ENTER}")
        terminal.wait_for("error:")
        terminal.wait_for_prompt()
        terminal.type(f"Again [[reply: Now.]]{ENTER}")
        terminal.wait_for("\nNow.")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    [name] = names()
    assert name.startswith("try-it")
    assert prompts(name)[-1] == "Again"


@pytest.mark.parametrize("arguments", [["chat"], ["chat", "x", "-a", "mock"]])
def test_without_a_terminal_a_chat_is_a_usage_error_with_another_way(
    arguments: list[str], bench: Bench
) -> None:
    done = sdqctl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "sdqctl run -p" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (['a"b'], "holds a double quote"),
        (["--mode", "implment"], "did you mean implement?"),
        (["--cwd", "nowhere"], "there is no such folder"),
        (["-a", "mok"], "did you mean mock?"),
    ],
)
def test_what_no_message_could_be_sent_with_is_a_usage_error_at_once(
    arguments: list[str], said: str, bench: Bench
) -> None:
    with Terminal(["chat", *arguments]) as terminal:
        assert terminal.wait_for_end() == 2
        assert said in terminal.text


@pytest.mark.thorough
@pytest.mark.runtime
def test_a_chat_on_the_runtime_aborts_its_first_turn_and_goes_on(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    with Terminal(["chat", "talk"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type(f"Wait for ever [[hang: x1]]{ENTER}")
        terminal.wait_until(lambda: bool(model.requests))
        terminal.type(CTRL_C)
        terminal.wait_for("aborted; the conversation goes on")
        terminal.wait_for_prompt()
        terminal.type(f"And now? [[reply: Here.]]{ENTER}")
        terminal.wait_for("\nHere.")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert names() == ["talk"]
    assert [text.split(" [[")[0] for text in model.user_messages()] == ["And now?"]

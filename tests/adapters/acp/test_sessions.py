"""Runs on the scripted agent, typed as a user would, and what goes wrong with agents."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.adapters.acp.scripted import Scripted
from tests.command import Running, sdqctl
from tests.sampling import some


def _workflow(*prompts: str, head: str = "") -> None:
    text = "".join(f"PROMPT {prompt}\n" for prompt in prompts)
    Path("talk.conv").write_text(f"SESSION-NAME talk\nMODE implement\n{head}{text}", "utf-8")


def test_a_workflow_runs_is_resumed_shown_searched_and_exported(scripted: Scripted) -> None:
    _workflow("One. [[reply: first]]", "Two. [[run: touch ran]] [[reply: second]]")
    done = sdqctl("run", "talk.conv", "--allow-tool", "shell(touch)")
    assert (done.code, Path("ran").exists()) == (0, True), done.err
    assert "second" in done.out
    again = sdqctl("resume", "talk", "--prompt", "Three. [[reply: third]]")
    assert again.code == 0, again.err
    assert scripted.prompts()[2] == "Three. [[reply: third]]"
    shown = sdqctl("sessions", "show", "talk", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]] == ["first", "second", "third"]
    assert shown["adapter"] == "scripted"
    assert "talk" in sdqctl("sessions", "search", "second").out
    assert "third" in sdqctl("sessions", "export", "talk").out


def test_a_refused_command_does_not_run(scripted: Scripted) -> None:
    _workflow("[[run: touch ran]] [[reply: well]]")
    done = sdqctl("run", "talk.conv", "--deny-tool", "shell(touch)", "--format", "json")
    assert done.code == 0, done.err
    assert [one["target"] for one in done.json["denied"]] == ["touch ran"]
    assert not Path("ran").exists()


def test_a_mode_that_only_reads_wants_proof_that_the_agent_asks(scripted: Scripted) -> None:
    Path("look.conv").write_text("SESSION-NAME look\nMODE audit\nPROMPT Hi. [[reply: ho]]\n")
    scripted.switch(version="1.5")
    refused = sdqctl("run", "look.conv")
    assert refused.code == 5
    assert "sdqctl agents check scripted" in refused.err
    assert "asks before it acts" in sdqctl("agents", "check", "scripted", "--offline").out
    assert sdqctl("run", "look.conv").code == 0
    scripted.switch(version="2.0")
    assert sdqctl("resume", "look", "--prompt", "Again.").code == 5


@pytest.mark.thorough
def test_the_model_of_copilot_is_none_for_an_agent(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPILOT_MODEL", "gpt-5")
    _workflow("One. [[reply: first]]")
    done = sdqctl("run", "talk.conv")
    assert done.code == 0, done.err
    refused = sdqctl("run", "talk.conv", "--session-name", "other", "-m", "gpt-5")
    assert (refused.code, "does not let a client choose" in refused.err) == (5, True)


def test_a_model_behind_a_port_that_the_sandbox_refuses_is_told_at_once(
    scripted: Scripted,
) -> None:
    settings = scripted.home.with_suffix(".toml")
    settings.write_text('used = "own"\n[providers.own]\nurl = "http://127.0.0.1:8965/v1"\n')
    provider = {"file": str(settings), "chosen": "used", "address": "providers.{chosen}.url"}
    scripted.configure(provider=provider)
    Path("look.conv").write_text("SESSION-NAME look\nMODE audit\nPROMPT Hi. [[reply: ho]]\n")
    refused = sdqctl("run", "look.conv")
    assert refused.code == 5
    assert "port 8965" in refused.err
    assert "`ports = [8965]` under [agents.scripted]" in refused.err
    scripted.configure(provider=provider, ports=[8965])
    assert sdqctl("run", "look.conv").code == 0
    scripted.configure(provider=provider)
    assert sdqctl("resume", "look", "--mode", "implement", "--prompt", "Hi.").code == 0


def test_an_agent_that_acts_unasked_does_not_pass(scripted: Scripted) -> None:
    scripted.switch(mode="free")
    found = sdqctl("agents", "check", "scripted", "--offline")
    assert found.code == 5
    assert "acts WITHOUT asking" in found.out
    (listed,) = [
        one
        for one in sdqctl("agents", "list", "--format", "json").json
        if one["name"] == "scripted"
    ]
    assert listed["checks"][-1]["asks"] is False


def test_a_session_is_put_into_the_mode_that_asks_also_when_it_is_loaded(
    scripted: Scripted,
) -> None:
    scripted.configure(mode="ask")
    scripted.switch(mode="free", modes=["free", "ask"])
    _workflow("[[run: touch one]] [[reply: well]]")
    assert sdqctl("run", "talk.conv", "--deny-tool", "shell(touch)").code == 0
    assert sdqctl("resume", "talk", "--prompt", "[[run: touch two]] [[reply: well]]").code == 0
    assert not Path("one").exists()
    assert not Path("two").exists()


@pytest.mark.parametrize("code", some(1, [-32002, -32602, -32603]))
def test_a_session_that_its_agent_lost_is_told_and_never_begun_anew(
    scripted: Scripted, code: int
) -> None:
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv").code == 0
    for file in scripted.home.glob("*.json"):
        file.unlink()
    scripted.switch(unknown=code)
    lost = sdqctl("resume", "talk", "--prompt", "Two.")
    assert lost.code == 4
    assert "sessions show talk" in lost.err
    assert scripted.sessions() == []


def test_a_session_that_its_agent_has_and_cannot_load_is_not_begun_anew(
    scripted: Scripted,
) -> None:
    _workflow("One. [[hang: x1]] [[reply: first]]")
    _kill_at_prompt(scripted, 1)
    scripted.switch(load_error=-32603)
    failed = sdqctl("resume", "talk", "--continue")
    assert failed.code == 4
    assert "cannot load it now" in failed.err
    scripted.switch()
    assert sdqctl("resume", "talk", "--continue").code == 0
    assert len(scripted.sessions()) == 1


def test_a_folder_that_a_killed_start_left_is_no_obstacle(scripted: Scripted, home: Path) -> None:
    (home / "sdqctl" / "acp" / "scripted" / "talk").mkdir(parents=True)
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv").code == 0


@pytest.mark.thorough
def test_what_a_turn_costs_is_what_the_session_cost_more_after_it(scripted: Scripted) -> None:
    scripted.switch(cost=0.25)
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv", "--format", "json").json["usage"]["cost"] == 0.25
    again = sdqctl("resume", "talk", "--prompt", "Two.", "--format", "json")
    assert again.json["usage"]["cost"] == 0.25


def test_an_agent_that_dies_for_good_is_exit_5_with_its_last_words(scripted: Scripted) -> None:
    _workflow("One. [[die]]")
    dead = sdqctl("run", "talk.conv", "--retry-for", "0")
    assert dead.code == 5
    assert "exit code 9" in dead.err
    assert "dying as told" in dead.err


def test_a_load_that_restores_nothing_is_told(scripted: Scripted) -> None:
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv").code == 0
    scripted.switch(silent_load=True)
    lost = sdqctl("resume", "talk", "--prompt", "Two.")
    assert lost.code == 4
    assert "did not restore" in lost.err
    assert scripted.prompts() == ["One. [[reply: first]]"]


@pytest.mark.thorough
def test_a_replay_that_comes_after_the_answer_counts(scripted: Scripted) -> None:
    scripted.switch(late_replay=True)
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv").code == 0
    assert sdqctl("resume", "talk", "--prompt", "Two.").code == 0


def test_an_agent_that_writes_much_to_stderr_does_not_hang(scripted: Scripted) -> None:
    scripted.switch(stderr=300_000)
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv").code == 0


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("orders", "exit_code", "words"),
    [
        ("[[fail: -32000 please log in]]", 6, "sign in"),
        ("[[fail: -32603 429 Too Many Requests]]", 75, ""),
        ("[[fail: -32603 400 Bad Request]]", 4, "400 Bad Request"),
        ("[[stop: refusal]]", 4, "refusal"),
        ("[[empty]]", 4, "no answer"),
    ],
)
def test_a_failed_turn_has_its_exit_code(
    scripted: Scripted, orders: str, exit_code: int, words: str
) -> None:
    _workflow(f"One. {orders}")
    done = sdqctl("run", "talk.conv", "--retry-for", "0")
    assert done.code == exit_code, done.err
    assert words in done.err


def test_an_answer_that_only_reports_a_failure_is_one(scripted: Scripted) -> None:
    scripted.configure(failure=r"\AError: \d{3}")
    _workflow("[[reply: Error: 400 bad]]")
    assert sdqctl("run", "talk.conv", "--retry-for", "0").code == 4


def test_an_agent_that_dies_is_started_again(scripted: Scripted) -> None:
    _workflow("One. [[die: x1]] [[reply: first]]")
    done = sdqctl("run", "talk.conv")
    assert done.code == 0, done.err
    assert "first" in done.out


def test_a_prompt_that_never_arrived_is_sent_once(scripted: Scripted) -> None:
    scripted.switch(forgets=["never-prompted", "cut-off"])
    _workflow("One. [[reply: first]]", "Two. [[hang: x1]] [[reply: second]]")
    _kill_at_prompt(scripted, 2)
    done = sdqctl("resume", "talk", "--continue")
    assert done.code == 0, done.err
    assert scripted.prompts() == ["One. [[reply: first]]", "Two. [[hang: x1]] [[reply: second]]"]


@pytest.mark.parametrize(
    ("policy", "code"), [("continue", 0), ("fail", 4), ("resend", 0), ("rewind", 0)]
)
def test_a_prompt_that_the_agent_forgot_after_its_tools_acted_is_not_just_sent_again(
    policy: str, code: int, scripted: Scripted
) -> None:
    scripted.switch(forgets=["never-prompted", "cut-off"])
    subprocess.run(["git", "init", "-q"], check=True)
    go = scripted.home.parent / "go"
    order = (
        f"[[run: echo one >> effect; while [ ! -e {go} ]; do sleep 0.05; done]] "
        f"{'long ' * 1000}[[reply: well]]"
    )
    _workflow(order)
    effect = Path("effect")
    _kill_at_prompt(scripted, 1, "--allow-tool", "shell", when=lambda: effect.exists())
    go.touch()
    done = sdqctl("resume", "talk", "--continue", "--on-interrupted", policy)
    assert done.code == code, done.err
    if policy == "fail":
        assert "was interrupted after tools ran" in done.err
        assert scripted.sessions() == []
        return
    (prompt,) = scripted.prompts()
    if policy == "continue":
        assert prompt.startswith("The prompt that is quoted below was interrupted")
        assert prompt.endswith(f"> {order}")
    else:
        assert prompt == order
    assert effect.read_text() == ("one\n" if policy == "rewind" else "one\none\n"), done.err


def test_a_prompt_that_arrived_unanswered_is_finished_and_not_sent_again(
    scripted: Scripted,
) -> None:
    _workflow("One. [[reply: first]]", "Two. [[hang: x1]] [[reply: second]]")
    _kill_at_prompt(scripted, 2)
    done = sdqctl("resume", "talk", "--continue")
    assert done.code == 0, done.err
    first, second, follow_up = scripted.prompts()
    assert (first, second) == ("One. [[reply: first]]", "Two. [[hang: x1]] [[reply: second]]")
    assert follow_up != second
    assert second in follow_up


def test_what_an_agent_started_ends_with_a_killed_run(scripted: Scripted) -> None:
    order = "[[run: sleep 777 & sleep 778; touch late]] [[reply: done]]"
    _workflow(order)
    _kill_at_prompt(scripted, 1, "--allow-all-tools", when=lambda: bool(_sleeping(scripted)))
    assert sdqctl("resume", "talk", "--continue", "--on-interrupted", "fail").code == 4
    assert _sleeping(scripted) == []
    assert not Path("late").exists()


def test_what_a_repository_brings_for_the_agent_needs_trust(scripted: Scripted) -> None:
    Path(".git").mkdir()
    Path("opencode.json").write_text('{"command": "evil"}')
    _workflow("One. [[reply: first]]")
    refused = sdqctl("run", "talk.conv")
    assert refused.code == 5
    assert "opencode.json" in refused.err
    assert sdqctl("trust", "--yes").code == 0
    assert sdqctl("run", "talk.conv").code == 0


def test_names_are_ours_copies_and_deletes_go_to_the_agent(scripted: Scripted) -> None:
    _workflow("One. [[reply: first]]")
    assert sdqctl("run", "talk.conv").code == 0
    assert sdqctl("sessions", "fork", "talk", "copy").code == 0
    assert sdqctl("resume", "copy", "--prompt", "Two. [[reply: second]]").code == 0
    assert sdqctl("sessions", "rename", "talk", "trunk").code == 0
    names = {
        row["name"] for row in sdqctl("agents", "sessions", "scripted", "--format", "json").json
    }
    assert names == {"trunk", "copy"}
    assert sdqctl("sessions", "delete", "trunk", "--force").code == 0
    assert len(scripted.sessions()) == 2, "its own copy stays, so that it can be restored"
    assert sdqctl("sessions", "restore", "trunk").code == 0
    assert sdqctl("resume", "trunk", "--prompt", "Three. [[reply: third]]").code == 0
    assert sdqctl("sessions", "delete", "copy", "--force", "--purge").code == 0
    assert len(scripted.sessions()) == 1


def test_a_table_that_is_wrong_is_an_error_of_use(scripted: Scripted) -> None:
    scripted.configure(colour="red")
    done = sdqctl("agents", "info", "scripted")
    assert done.code == 2
    assert "[agents.scripted]" in done.err
    assert "did you mean scripted?" in sdqctl("agents", "info", "scriptd").err


def _kill_at_prompt(scripted: Scripted, number: int, *flags: str, when: object = None) -> None:
    """Start the workflow, and kill it by SIGKILL when a prompt is under way."""
    with Running(
        "run",
        "talk.conv",
        *flags,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        is_time = when if callable(when) else lambda: _hangs(scripted)
        while not is_time():
            assert time.monotonic() < deadline, "the prompt is under way within two minutes"
            assert process.poll() is None, "the run goes on"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)


def _hangs(scripted: Scripted) -> bool:
    """Whether the agent has come to the order to hang."""
    return any(scripted.home.glob("*.hang"))


def _sleeping(scripted: Scripted) -> list[int]:
    """The commands of the agent that still run, by their variables."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
                variables = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if (
                line in (b"sleep\x00777\x00", b"sleep\x00778\x00")
                and str(scripted.home).encode() in variables
            ):
                found.append(int(name))
    return found

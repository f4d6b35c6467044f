"""What is done about a prompt that was cut off after its tools acted, on the mock."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdqctl.adapters.mock.session import MockSession
from sdqctl.model.events import TurnEvent, TurnFinished
from sdqctl.model.followup import QUOTED, follow_up, quoted_prompt
from tests.bench import Bench
from tests.command import Done, forked, sdqctl

STEP = (
    "second [[tool: shell echo 1 >> acts]] [[tool: shell echo 2 >> acts]] [[reply: both are done]]"
)
WORKFLOW = f"SESSION-NAME s\nMODE implement\nPROMPT first\nPROMPT {STEP}\nPROMPT third\n"


def cut_off(bench: Bench, text: str = WORKFLOW, point: str = "mock.tool.after:1") -> Path:
    """A run that was killed after the first of its second prompt's two tools."""
    path = bench.write("work.conv", text)
    done = sdqctl("run", path, SDQCTL_CRASH_AT=point)
    assert done.code in (-signal.SIGKILL, 137), done.err
    return path


def go_on(*flags: str, **environment: str) -> Done:
    return sdqctl("resume", "s", "--continue", *flags, **environment)


def turns(name: str = "s") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sdqctl("sessions", "show", name, "--format", "json").json["turns"]
    return found


def acts(bench: Bench) -> list[str]:
    return (bench.project / "acts").read_text().split()


@pytest.mark.each(2)
@pytest.mark.parametrize("asides", [0, 2])
def test_the_follow_up_quotes_the_prompt_whatever_was_said_since(asides: int, bench: Bench) -> None:
    cut_off(bench)
    for number in range(asides):
        assert sdqctl("resume", "s", "--prompt", f"aside {number}").code == 0
    done = go_on()
    assert done.code == 0, done.err
    assert acts(bench) == ["1", "2"]
    follow = turns()[2 + asides]
    assert quoted_prompt(follow["prompt"]) == STEP
    assert follow["response"] == "both are done"
    steps = sdqctl("sessions", "show", "s", "--format", "json").json["runs"][0]["steps"]
    assert [step["status"] for step in steps] == ["done"] * 3


def test_a_follow_up_that_is_cut_off_is_followed_up_by_the_same_words(bench: Bench) -> None:
    cut_off(bench)
    for point in ("ledger.begin.after:1", "mock.accepted:1", "mock.stored:1", "mock.tool.after:1"):
        assert go_on(SDQCTL_CRASH_AT=point).code in (-signal.SIGKILL, 137)
    done = go_on()
    assert done.code == 0, done.err
    assert acts(bench) == ["1", "2"]
    asked = [turn["prompt"] for turn in turns()]
    assert asked == ["first", STEP, follow_up(STEP), follow_up(STEP), "third"]
    assert turns()[3]["response"] == "both are done"


def test_an_answer_to_a_follow_up_that_was_not_recorded_is_found(bench: Bench) -> None:
    cut_off(bench)
    assert go_on(SDQCTL_CRASH_AT="mock.answered:1").code in (-signal.SIGKILL, 137)
    done = go_on()
    assert done.code == 0, done.err
    assert "2 done, 1 to run" in done.err
    steps = sdqctl("sessions", "show", "s", "--format", "json").json["runs"][0]["steps"]
    assert (steps[1]["status"], steps[1]["attempts"]) == ("done", 2)
    assert [turn["prompt"] for turn in turns()] == ["first", STEP, follow_up(STEP), "third"]


def test_a_follow_up_quotes_secrets_that_the_ledger_does_not_keep(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "an-0dd-value-for-deploying"
    monkeypatch.setenv("DEPLOY_KEY", secret)
    cut_off(bench, WORKFLOW.replace("PROMPT second", f"PROMPT second {secret}"))
    assert go_on(SDQCTL_CRASH_AT="ledger.accept.before:1").code in (-signal.SIGKILL, 137)
    done = go_on()
    assert done.code == 0, done.err
    events = map(json.loads, bench.journal().splitlines())
    asked = [e["data"]["content"] for e in events if e["type"] == "user.message"]
    (follow,) = [text for text in asked if quoted_prompt(text) is not None]
    assert secret in follow
    for file in (bench.home / "sdqctl").glob("ledger.db*"):
        assert secret.encode() not in file.read_bytes()


def test_a_long_prompt_is_quoted_in_part_with_its_end_whole() -> None:
    text = "begin " + "x" * (3 * QUOTED) + " the question itself"
    quoted = quoted_prompt(follow_up(text))
    assert quoted is not None
    assert len(quoted) < QUOTED + 100
    assert quoted.startswith("begin ")
    assert quoted.endswith(" the question itself")
    assert f"[{len(text) - QUOTED} characters are left out here]" in quoted
    exact = "two lines\n\n  and an indent  \n> a quote"
    assert quoted_prompt(follow_up(exact)) == exact
    assert quoted_prompt(exact) is None


def test_fail_stops_and_leaves_everything_as_it_is(bench: Bench) -> None:
    cut_off(bench)
    before = bench.journal()
    done = go_on("--on-interrupted", "fail")
    assert (done.code, done.out) == (4, ""), done.err
    assert "step 2 was interrupted after tools ran (bash)" in done.err
    assert "`sdqctl resume s --continue --on-interrupted continue`" in done.err
    assert bench.journal() == before
    assert acts(bench) == ["1"]
    again = go_on("--on-interrupted", "continue")
    assert again.code == 0, again.err
    assert acts(bench) == ["1", "2"]


@pytest.mark.each(3)
@pytest.mark.parametrize("point", ["mock.stored:2", "mock.accepted:2", "ledger.begin.after:2"])
def test_fail_and_resend_do_not_matter_where_no_tool_acted(point: str, bench: Bench) -> None:
    for number, policy in enumerate(("fail", "resend")):
        cut_off(bench, WORKFLOW.replace("SESSION-NAME s", f"SESSION-NAME s{number}"), point)
        done = sdqctl("resume", f"s{number}", "--continue", "--on-interrupted", policy)
        assert done.code == 0, done.err
        assert [turn["prompt"] for turn in turns(f"s{number}")] == ["first", STEP, "third"]


def test_resend_takes_the_prompt_out_and_sends_it_again(bench: Bench) -> None:
    cut_off(bench)
    done = go_on("--on-interrupted", "resend")
    assert done.code == 0, done.err
    assert acts(bench) == ["1", "1", "2"]
    assert [turn["prompt"] for turn in turns()] == ["first", STEP, "third"]


def test_resend_takes_a_follow_up_out_with_what_it_follows(bench: Bench) -> None:
    cut_off(bench)
    assert go_on(SDQCTL_CRASH_AT="mock.tool.after:1").code in (-signal.SIGKILL, 137)
    done = go_on("--on-interrupted", "resend")
    assert done.code == 0, done.err
    assert acts(bench) == ["1", "2", "1", "2"]
    assert [turn["prompt"] for turn in turns()] == ["first", STEP, "third"]


def test_a_kill_in_the_middle_of_a_resend_loses_nothing(bench: Bench) -> None:
    for point in ("mock.rewind:1", "ledger.begin.after:1", "mock.stored:1"):
        cut_off(bench)
        killed = go_on("--on-interrupted", "resend", SDQCTL_CRASH_AT=point)
        assert killed.code in (-signal.SIGKILL, 137)
        done = go_on("--on-interrupted", "resend")
        assert done.code == 0, done.err
        assert [turn["prompt"] for turn in turns()] == ["first", STEP, "third"]
        assert sdqctl("sessions", "delete", "s", "--force").code == 0


@pytest.mark.thorough
def test_resend_never_takes_other_turns_out(bench: Bench) -> None:
    path = cut_off(bench)
    assert sdqctl("resume", "s", "--prompt", "what about the tests?").code == 0
    before = bench.journal()
    refused = go_on("--on-interrupted", "resend")
    assert (refused.code, refused.out) == (4, ""), refused.err
    assert "turn 3: what about the tests?" in refused.err
    assert bench.journal() == before
    assert "`sdqctl sessions fork s COPY --at turn:1`" in refused.err
    assert sdqctl("sessions", "fork", "s", "copy", "--at", "turn:1").code == 0
    copied = sdqctl("resume", "copy", "--continue", path)
    assert copied.code == 0, copied.err
    assert [turn["prompt"] for turn in turns("copy")] == ["first", STEP, "third"]
    assert go_on("--on-interrupted", "continue").code == 0
    assert [turn["prompt"].split("?")[0] for turn in turns()][2] == "what about the tests"


def test_an_answered_prompt_that_is_gone_from_the_conversation_is_reported(bench: Bench) -> None:
    path = bench.write("work.conv", "SESSION-NAME s\nPROMPT first\nPAUSE\nPROMPT second\n")
    assert sdqctl("run", path).code == 8
    journal = bench.home / "sdqctl" / "mock" / "s" / "events.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0])
    done = go_on("--format", "json")
    error = json.loads(done.err.splitlines()[-1])["error"]
    assert (done.code, error["code"]) == (4, "context-mismatch")
    assert "step 1 (first) is not in the conversation any more" in error["message"]
    assert "--from 1" in error["hint"]
    journal.write_text("".join(lines + lines[1:]))
    assert "step 1 (first) stands 2 times" in go_on().err
    journal.write_text("".join(lines))
    assert go_on().code == 0


def test_an_answer_to_another_prompt_is_not_recorded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an adapter that mixes up the turns of two clients."""
    send = MockSession.send

    async def mixed_up(self: MockSession, prompt: str, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        async for event in send(self, prompt, turn_id=turn_id):
            if isinstance(event, TurnFinished):
                yield msgspec.structs.replace(event, message_id="another", response="other")
            else:
                yield event

    path = bench.write("work.conv", "SESSION-NAME s\nPROMPT first [[reply: one]]\n")
    with monkeypatch.context() as patch:
        patch.setattr(MockSession, "send", mixed_up)
        done = forked("run", path)
    assert (done.code, done.out) == (4, ""), done.err
    assert "is the answer to another prompt" in done.err
    again = go_on()
    assert again.code == 0, again.err
    with sqlite3.connect(bench.home / "sdqctl" / "ledger.db") as connection:
        kept = connection.execute("SELECT response FROM attempts WHERE status = 'done'").fetchall()
    connection.close()
    assert kept == [("one",)]

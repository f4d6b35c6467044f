"""A run whose process was killed is interrupted, whatever shows it."""

from __future__ import annotations

import json
import signal

import pytest

from tests.bench import Bench
from tests.cli.mcp.test_mcp import Caller, runs_of, tell
from tests.command import sdqctl
from tests.terminal import CTRL_D, Terminal
from tests.waiting import wait_for

BEGUN = "ledger.begin.after"
"""Where a process dies that has begun a step."""


def kill(bench: Bench, text: str, place: str, *flags: str) -> None:
    """Have the process of a run in session `job` die at a place."""
    path = bench.write("work.conv", f"SESSION-NAME job\n{text}")
    sdqctl("run", path, *flags, SDQCTL_CRASH_AT=place)
    wait_for(lambda: sdqctl("sessions", "list", "--status", "interrupted").out.startswith("job"))


@pytest.mark.parametrize("output_format", ["json", "jsonl"])
def test_one_that_is_watched(output_format: str, bench: Bench) -> None:
    bench.write("part.conv", "PROMPT b\n")
    kill(bench, "PROMPT a [[reply: A]]\nCALL part.conv\n", f"{BEGUN}:3", "--detach")
    watched = sdqctl("watch", "job", "--format", output_format)
    assert watched.code == 130
    shown = json.loads(watched.out if output_format == "json" else watched.out.splitlines()[-1])
    assert (shown["status"], shown["output"]) == ("interrupted", "A")
    assert shown["run"]["status"] == "interrupted"
    assert [one["status"] for one in shown["run"]["called"]] == ["interrupted"]


def test_one_that_cannot_be_gone_on_with(bench: Bench) -> None:
    kill(bench, "PROMPT a\nPROMPT b\n", f"{BEGUN}:2")
    (bench.home / "sdqctl" / "mock" / "job" / "session.json").write_text("{")
    failed = sdqctl("resume", "job", "--continue", "--format", "json")
    assert failed.code != 0
    assert failed.json["run"]["status"] == "interrupted"


def test_one_that_a_batch_does_not_reach(bench: Bench) -> None:
    for name in "ab":
        bench.write(f"src/{name}", "")
    bench.write("each.conv", "PROMPT {{COMPONENT_NAME}}\nRUN false\n")
    line = ("apply", "each.conv", "--components", "src/*", "--format", "json")
    killed = sdqctl(*line, "--keep-going", SDQCTL_CRASH_AT=f"{BEGUN}:3")
    assert killed.code == -signal.SIGKILL
    failed, left = sdqctl(*line).json
    assert (failed["run"]["status"], left["status"]) == ("failed", "not-started")
    assert left["run"]["status"] == "interrupted"


def test_one_that_a_conversation_opens_with(bench: Bench) -> None:
    kill(bench, "PROMPT a\nPROMPT b\n", f"{BEGUN}:2")
    with Terminal(["resume", "job"]) as terminal:
        terminal.wait_for("1 of 2 steps, interrupted")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


def test_one_that_another_agent_waits_for(bench: Bench) -> None:
    kill(bench, "PROMPT a\nPROMPT b\n", f"{BEGUN}:2")

    async def story(call: Caller) -> None:
        for tool in ("wait_for_run", "read_outcome"):
            assert (await call(tool, session="job"))["status"] == "interrupted", tool

    tell(runs_of(), story)

"""A workflow on one agent that CALLs one on another, killed in either."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from sdqctl.testing.acp_agent import command
from tests.adapters.acp.scripted import Scripted
from tests.command import Running, sdqctl
from tests.sampling import some


@pytest.mark.thorough
@pytest.mark.parametrize("hangs", some(1, ["called", "caller"]))
def test_a_call_of_another_agent_goes_on_after_a_kill_in_either(
    scripted: Scripted, hangs: str
) -> None:
    other = scripted.home.with_name("other")
    own = {"folders": [str(other)], "environment": {"FAKE_ACP_HOME": str(other)}}
    scripted.add("other", command=command(), **own)
    stop = {"caller": "", "called": "", hangs: "[[hang: x1]] "}
    Path("audit.conv").write_text(
        "SESSION-NAME audit\nMODE implement\nPROMPT One. [[reply: first]]\n"
        f"CALL review.conv\nPROMPT Three. {stop['caller']}[[reply: third]]\n"
    )
    Path("review.conv").write_text(
        f"ADAPTER other\nPROMPT Two. {stop['called']}[[reply: second]]\n"
    )
    _kill_when_it_hangs(other if hangs == "called" else scripted.home)
    done = sdqctl("resume", "audit", "--continue")
    assert done.code == 0, done.err
    assert _prompts("audit", "scripted") == Counter({"One.": 1, "Three.": 1})
    assert _prompts("audit/review", "other") == Counter({"Two.": 1})


def _prompts(session: str, adapter: str) -> Counter[str]:
    """How often each prompt of a workflow was sent, which a follow-up only quotes."""
    shown = sdqctl("sessions", "show", session, "--format", "json").json
    assert (shown["adapter"], shown["run"]["status"]) == (adapter, "completed")
    return Counter(
        turn["prompt"].split()[0] for turn in shown["turns"] if "[[" in turn["prompt"][:12]
    )


def _kill_when_it_hangs(agent: Path) -> None:
    with Running(
        "run",
        "audit.conv",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while not any(agent.glob("*.hang")):
            assert time.monotonic() < deadline, "the agent comes to its order within two minutes"
            assert process.poll() is None, "the run goes on"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)

"""A workflow of one pinned agent that CALLs one of another, killed in either and resumed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.agents.installed import WANTED, environment
from tests.command import SDQCTL, sdqctl

_PAIRS = [pair for pair in zip(WANTED, WANTED[1:] + WANTED[:1], strict=True) if len(set(pair)) == 2]


@pytest.mark.parametrize("hangs", ["caller", "called"])
@pytest.mark.parametrize(("caller", "called"), _PAIRS)
def test_a_call_goes_on_after_a_kill_in_either(
    caller: str,
    called: str,
    hangs: str,
    home: Path,
    project: Path,
    model: LoopbackModel,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    for name in (caller, called):
        for variable, value in environment(name, model, home / "agent").items():
            monkeypatch.setenv(variable, value)
    stop = {"caller": "", "called": "", hangs: "[[hang: x1]] "}
    Path("audit.conv").write_text(
        f"SESSION-NAME audit\nADAPTER {caller}\nMODE implement\nPROMPT One. [[reply: first]]\n"
        f"CALL review.conv\nPROMPT Three. {stop['caller']}[[reply: third]]\n"
    )
    Path("review.conv").write_text(
        f"ADAPTER {called}\nPROMPT Two. {stop['called']}[[reply: second]]\n"
    )
    _kill_when_asked(model, "[[hang")
    done = sdqctl("resume", "audit", "--continue")
    assert done.code == 0, done.err
    assert _prompts("audit", caller) == Counter({"One.": 1, "Three.": 1})
    assert _prompts("audit/review", called) == Counter({"Two.": 1})
    record_property("agent", called)
    record_property("called", True)


def _kill_when_asked(model: LoopbackModel, order: str) -> None:
    """Run it, and kill it when the model was asked what it does not answer."""
    with subprocess.Popen(
        [*SDQCTL, "run", "audit.conv"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 300
        while not any(order in each.prompt and each.body.get("tools") for each in model.requests):
            assert time.monotonic() < deadline, "the agent comes to its order within five minutes"
            assert process.poll() is None, "the run goes on"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)


def _prompts(session: str, adapter: str) -> Counter[str]:
    """How often each prompt of a workflow was sent, which a follow-up only quotes."""
    shown = sdqctl("sessions", "show", session, "--format", "json").json
    assert (shown["adapter"], shown["run"]["status"]) == (adapter, "completed")
    return Counter(
        turn["prompt"].split()[0] for turn in shown["turns"] if "[[" in turn["prompt"][:12]
    )

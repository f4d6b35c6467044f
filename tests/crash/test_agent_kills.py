"""Kills at random moments on agents of the Agent Client Protocol: of sdqctl, of the agent, of both.

The scripted agent here has a model; the pinned ones are killed by `make agents`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sdqctl.testing.acp_agent import command
from sdqctl.testing.loopback import LoopbackModel
from tests.conftest import RUNTIME, SHARED_CACHE
from tests.crash.agents import AgentStory, Victim
from tests.crash.plots import ToolUse, bash
from tests.crash.rounds import hold, play

pytestmark = pytest.mark.crash

_KILLS_IN_THE_SUITE = 2
_MOST_KILLS = 40


def _scripted(model: LoopbackModel, home: Path) -> Mapping[str, str]:
    home.mkdir(exist_ok=True)
    configuration = home.with_name("sdqctl.toml")
    configuration.write_text(
        f"[agents.scripted]\ncommand = {json.dumps(command())}\nforks = true\n"
        f"folders = [{json.dumps(str(home))}]\n"
    )
    return {
        "SDQCTL_CONFIG": str(configuration),
        "FAKE_ACP_HOME": str(home),
        "FAKE_ACP": json.dumps({"model": model.base_url}),
    }


def _copilot(model: LoopbackModel, home: Path) -> Mapping[str, str]:
    return {
        **model.environment(),
        "PATH": f"{RUNTIME.parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": SHARED_CACHE,
        "COPILOT_HOME": str(home),
    }


def _shell(order: str) -> ToolUse:
    return "shell", {"command": order}


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param(
            Victim("scripted", "acp_agent.py", _scripted, _shell),
            id="scripted",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            Victim("copilot-acp", "copilot", _copilot, bash, forks=False),
            id="copilot",
            marks=[pytest.mark.runtime, pytest.mark.thorough],
        ),
    ],
)
def test_kills_at_random_times_lose_and_repeat_nothing(
    victim: Victim,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = pytestconfig.getoption("--kills")
    wanted = min(asked, _MOST_KILLS) if asked else None

    def make(folder: Path, seed: int, kills: int) -> AgentStory:
        return AgentStory(victim, folder, seed, kills)

    seed, totals = play(make, tmp_path, pytestconfig, least=_KILLS_IN_THE_SUITE, wanted=wanted)
    with capsys.disabled():
        print(f"\n{victim.name}: seed {seed}: {totals}")
    hold(totals)

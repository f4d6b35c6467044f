"""Kills at random moments on the pinned agents: of sdqctl, of the agent, and of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agents.installed import INSTALLED, WANTED, environment
from tests.crash.agents import AgentStory, Victim
from tests.crash.rounds import hold, play

_KILLS = 40


@pytest.mark.parametrize("name", WANTED)
def test_kills_at_random_times_lose_and_repeat_nothing(
    name: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    record_property("agent", name)
    known = INSTALLED[name]
    victim = Victim(
        name, known.program, lambda model, home: environment(name, model, home), known.shell
    )

    def make(folder: Path, seed: int, kills: int) -> AgentStory:
        return AgentStory(victim, folder, seed, kills)

    wanted = pytestconfig.getoption("--kills") or _KILLS
    seed, totals = play(make, tmp_path, pytestconfig, least=_KILLS, wanted=wanted)
    with capsys.disabled():
        print(f"\n{name}: seed {seed}: {totals}")
    record_property("seed", seed)
    for figure in ("lost", "repeated", "wedged"):
        record_property(figure, getattr(totals, figure))
    record_property("kills", totals.kills.total())
    hold(totals)

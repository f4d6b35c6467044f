"""Kills at random moments on the real runtime: of sdqctl, of the runtime, and of both."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.story import Counts, Story

pytestmark = [pytest.mark.crash, pytest.mark.runtime]

_KILLS_IN_THE_SUITE = 2
_KILLS_A_STORY = 5
_AT_ONCE = 2


def test_kills_at_random_times_lose_and_repeat_nothing(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    kills = pytestconfig.getoption("--kills")
    wanted = int(kills or _KILLS_IN_THE_SUITE)
    seed = pytestconfig.getoption("--crash-seed") or (random.randrange(10**9) if kills else 1)
    with capsys.disabled():
        print(f"\ncrash suite: seed {seed}")
    totals = Counts()
    number = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while totals.kills.total() < wanted:
            missing = wanted - totals.kills.total()
            stories = [
                Story(tmp_path / f"story-{number + n}", seed + number + n, _KILLS_A_STORY)
                for n in range(min(_AT_ONCE * 4, -(-missing // _KILLS_A_STORY)))
            ]
            number += len(stories)
            for counts in pool.map(Story.play, stories):
                totals.add(counts)
    with capsys.disabled():
        print(f"crash suite: {totals}")
    assert totals.failures == [], "\n\n".join(totals.failures)
    assert (totals.lost, totals.repeated, totals.repeated_after_done) == (0, 0, 0)
    assert (totals.wedged, totals.bugs) == (0, 0)

"""Kills at random moments on the real runtime: of sdqctl, of the runtime, and of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.rounds import hold, play
from tests.crash.story import Story

pytestmark = [pytest.mark.crash, pytest.mark.runtime]

_KILLS_IN_THE_SUITE = 2


@pytest.mark.thorough
def test_kills_at_random_times_lose_and_repeat_nothing(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    seed, totals = play(Story, tmp_path, pytestconfig, least=_KILLS_IN_THE_SUITE)
    with capsys.disabled():
        print(f"\ncrash suite: seed {seed}: {totals}")
    hold(totals)

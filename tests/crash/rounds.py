"""Stories told until so many kills were made, and what must hold of all of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.story import Counts, Story

_KILLS_A_STORY = 5
_AT_ONCE = 2


def play(
    make: Callable[[Path, int, int], Story],
    folder: Path,
    config: pytest.Config,
    *,
    least: int,
    wanted: int | None = None,
) -> tuple[int, Counts]:
    """Play stories with `wanted` kills, else as many as are asked for, else `least`; those of the
    suite have a seed that stays the same. Returns the seed, and what all of it did.
    """
    kills = wanted or config.getoption("--kills")
    seed = config.getoption("--crash-seed") or (random.randrange(10**9) if kills else 1)
    each = min(_KILLS_A_STORY, kills or least)
    totals, number = Counts(), 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while totals.kills.total() < (kills or least):
            missing = (kills or least) - totals.kills.total()
            stories = [
                make(folder / f"story-{number + n}", seed + number + n, each)
                for n in range(min(_AT_ONCE * 4, -(-missing // _KILLS_A_STORY)))
            ]
            number += len(stories)
            for counts in pool.map(Story.play, stories):
                totals.add(counts)
            if totals.failures:
                break
    return seed, totals


def hold(totals: Counts) -> None:
    """Nothing is lost, repeated, or stuck."""
    assert totals.failures == [], "\n\n".join(totals.failures)
    assert (totals.lost, totals.repeated, totals.repeated_after_done) == (0, 0, 0)
    assert (totals.wedged, totals.bugs) == (0, 0)

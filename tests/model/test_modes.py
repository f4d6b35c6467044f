"""Which MODE allows more than another one."""

from __future__ import annotations

import itertools

import pytest

from sdqctl.model.modes import exceeds

WIDTHS: list[list[str | None]] = [
    [None, "audit", "analysis", "read-only", "verification", "unknown"],
    ["implement", "write", " Implement"],
    ["full", "FULL"],
]


@pytest.mark.parametrize(("wanted", "bound"), [*itertools.product(range(3), repeat=2)])
def test_a_mode_exceeds_those_that_allow_less(wanted: int, bound: int) -> None:
    for one, other in itertools.product(WIDTHS[wanted], WIDTHS[bound]):
        assert exceeds(one, other) is (wanted > bound), (one, other)

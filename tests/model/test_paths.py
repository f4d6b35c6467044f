"""Paths of steps are told from other texts, and sorted as the plan unfolds."""

from __future__ import annotations

import random

import pytest

from sdqctl.model.paths import following, is_path, is_within, path_key, position_of, sibling

IN_ORDER = [
    "1",
    "2",
    "2.then.1",
    "2.then.2",
    "2.then.2.else-if-1.1",
    "2.then.10",
    "3",
    "3[1].1",
    "3[1].2[1].1",
    "3[1].2[1].until",
    "3[1].2[10].1",
    "3[1].12",
    "3[1].until",
    "3[2].1",
    "3[10].1",
    "4",
    "10",
]


def test_paths_are_sorted_in_the_order_of_the_plan() -> None:
    mixed = random.Random(1).sample(IN_ORDER, len(IN_ORDER))
    assert sorted(mixed, key=path_key) == IN_ORDER


NONE = [
    *("", "0", "01", "-1", "1 ", "1\n", "half", "9" * 20, "4.5", "[1].1", "4.then", "4[1]"),
    *("4[0].1", "4.then.0", "4.until", "4[1].until.1", "4.Then.1"),
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_path_is_none(text: str) -> None:
    assert not is_path(text)
    if not text.isdecimal():
        with pytest.raises(ValueError, match="is no path of a step"):
            path_key(text)


@pytest.mark.parametrize("path", IN_ORDER)
def test_a_path_lies_within_one_step_of_the_whole_list(path: str) -> None:
    top = str(position_of(path))
    assert is_path(path)
    assert (path == top) is not is_within(path, top)


def test_a_step_has_siblings_in_its_own_list() -> None:
    assert sibling("6[3].2", 7) == "6[3].7"
    assert following("6[3].2") == "6[3].3"
    assert following("9") == "10"
    assert not is_within("12.then.1", "1")

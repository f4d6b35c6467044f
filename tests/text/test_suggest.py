"""The word that was probably meant."""

from __future__ import annotations

from sdqctl.text.suggest import did_you_mean, meant, nearest, nearest_few


def test_swapped_letters_are_the_likeliest_mistake() -> None:
    assert nearest("MODLE", ["MODEL", "MODULE", "MODE"]) == "MODEL"
    assert nearest("tset", ["set", "test"]) == "test"


def test_a_word_like_none_is_left_alone_or_shown_all() -> None:
    assert nearest("xyz", ["model", "mode"]) is None
    assert did_you_mean("xyz", ["model"]) == ""
    assert meant("xyz", ["model", "mode"], "words") == "known words: model, mode"
    assert meant("modl", ["model", "rest"], "words") == "did you mean model?"


def test_several_words_come_the_likest_first() -> None:
    assert nearest_few("audit", ["audits", "adit", "other"], 3) == ["audits", "adit"]

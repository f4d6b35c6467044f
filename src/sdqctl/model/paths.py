"""Where a step stands in a plan that unfolds: `4`, `5.then.2`, `6[3].1`.

A path names, from the outside in, the number of a step in its list, and below it the branch
(`.then`) or the round (`[3]`) that was entered. The step of a list that nothing is nested in has a
path of one number. Numbers count from 1.
"""

from __future__ import annotations

import re

UNTIL = "until"
"""The last step of a round: whether it was the last round."""
_PART = re.compile(r"(?:\A|\.)(\d+)|\[(\d+)\]|\.([a-z][a-z0-9-]*)")
_NUMBER = r"[1-9]\d{0,8}"
_PATH = re.compile(
    rf"{_NUMBER}(?:(?:\[{_NUMBER}\]|\.[a-z][a-z0-9-]*)\.{_NUMBER})*(?:\[{_NUMBER}\]\.{UNTIL})?\Z"
)
_ENTERED = re.compile(r"(?:\[\d+\]|\.[a-z][a-z0-9-]*)\.")
_LAST = 10**9
Key = tuple[int, ...]


def is_path(text: str) -> bool:
    """Whether a text is the path of a step."""
    return _PATH.match(text) is not None


def path_key(path: str) -> Key:
    """What paths are sorted by: the order of the plan. Raises ValueError for what is no path."""
    if path.isdecimal():
        return (int(path),)
    if not is_path(path):
        raise ValueError(f"{path!r} is no path of a step")
    return tuple(_place(*match.groups()) for match in _PART.finditer(path))


def _place(number: str | None, turn: str | None, word: str | None) -> int:
    if word is not None:
        return _LAST if word == UNTIL else 0
    return int(number or turn or 0)


def position_of(path: str) -> int:
    """The number of the step of the whole list that a path lies in, or is."""
    return path_key(path)[0]


def number_of(path: str) -> int:
    """The number of a step in its own list."""
    return int(path.rpartition(".")[2])


def sibling(path: str, number: int) -> str:
    """The path of the step with a number in the same list."""
    outer, dot, _ = path.rpartition(".")
    return f"{outer}{dot}{number}"


def is_within(path: str, outer: str) -> bool:
    """Whether a step was unfolded from another one, at whatever depth."""
    return path.startswith(outer) and path[len(outer) : len(outer) + 1] in (".", "[")


def is_done_by(path: str, last: str) -> bool:
    """Whether a step comes before another one, is it, or lies within it."""
    return path_key(path) <= path_key(last) or is_within(path, last)


def part_of(path: str, outer: str) -> str | None:
    """The part of a block, `.then` or `[3]`, that a step lies in; None: it lies in none of it."""
    found = _ENTERED.match(path, len(outer)) if path.startswith(outer) else None
    return found[0][:-1] if found is not None else None


def round_after(path: str) -> str:
    """The path by which the round is entered that follows the one a step stands in."""
    loop, _, turn = path.rpartition(".")[0].rpartition("[")
    return f"{loop}[{int(turn[:-1]) + 1}]"


def following(path: str) -> str:
    """The path of the next step of the same list."""
    return sibling(path, number_of(path) + 1)


def outer_paths(path: str) -> list[str]:
    """The paths of the steps that a step was unfolded from, the outermost first."""
    return [path[: match.start()] for match in _ENTERED.finditer(path)]


def first_round(path: str) -> str:
    """The path of the same step in the first round of all loops."""
    return re.sub(r"\[\d+\]", "[1]", path)

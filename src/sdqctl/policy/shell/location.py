"""Where a command line may be after `cd`, `pushd` and `popd`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sdqctl.policy.shell.word import Word

MOVERS = frozenset({"cd", "pushd", "popd", "chdir"})
_MOST = 8
"""So many places are kept apart; more are as good as not known."""
_LONGEST = 4096


class Place(NamedTuple):
    """A folder, as the shell names it, and the ones that `popd` goes back to."""

    folder: str
    stack: tuple[str, ...] = ()


Places = frozenset[Place | None]
"""Where the line may be; None: not known."""
UNKNOWN: Places = frozenset({None})


class Move(NamedTuple):
    """Where a move may lead, where the line is when it fails, and whether all is allowed."""

    succeeded: Places
    failed: Places
    allowed: bool


def joined(*sets: Places) -> Places:
    """All of these places."""
    first = sets[0]
    if len(sets) == 2 and sets[1] is first:
        return first
    found: Places = frozenset().union(*sets)
    return found if len(found) <= _MOST else UNKNOWN


def in_order(places: Places) -> Iterable[Place | None]:
    """These places, in the same order each time."""
    return places if len(places) == 1 else sorted(places, key=str)


def move(
    words: Sequence[Word], places: Places, *, settled: bool, readable: Callable[[str], bool]
) -> Move:
    """Where `cd`, `pushd` or `popd` leads from these places.

    `settled`: no program ran before, so that a folder which is there now is there then.
    """
    found = [_destination(words, place) for place in places]
    reached = [place for place in found if place is not None]
    if len(reached) < len(found) or not all(readable(place.folder) for place in reached):
        known: Places = frozenset(reached)
        lost = UNKNOWN if len(reached) < len(found) else frozenset()
        return Move(joined(known, lost), places, allowed=False)
    there = settled and all(_can_enter(place.folder) for place in reached)
    return Move(joined(frozenset(reached)), frozenset() if there else places, allowed=True)


def _destination(words: Sequence[Word], place: Place | None) -> Place | None:
    name, stack = words[0].text, () if place is None else place.stack
    if name == "popd":
        return Place(stack[0], stack[1:]) if stack and len(words) == 1 else None
    text = _target(words[1:])
    if text is None or (place is None and not text.startswith("/")):
        return None
    folder = _reached(place.folder if place else "/", text)
    if folder is None:
        return None
    if name == "pushd":
        return Place(folder, (place.folder, *stack)) if place else None
    return Place(folder, stack)


def _target(words: Sequence[Word]) -> str | None:
    """What a move names, None when only the shell knows."""
    rest = list(words)
    if rest and rest[0].text == "--":
        rest = rest[1:]
    if len(rest) != 1 or rest[0].text is None or len(rest[0].text) > _LONGEST:
        return None
    text = rest[0].text
    if rest[0].tilde:
        return os.path.expanduser(text) if os.path.expanduser(text) != text else None
    return None if text.startswith(("-", "+")) else text


def _reached(base: str, text: str) -> str | None:
    """The folder that a shell comes to, None when shells may differ.

    A shell takes `..` off the name; a program goes where the link before it leads.
    """
    plain = text.startswith(("/", "./", "../")) or text in (".", "..")
    if not plain and os.environ.get("CDPATH"):
        return None
    folder = os.path.normpath(os.path.join(base, text))
    if os.path.realpath(folder) != os.path.realpath(os.path.join(base, text)):
        return None
    return folder


def _can_enter(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.X_OK)

"""What stands in a text: the paths it may hold, its words when it is run, its brace expansions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sdqctl.policy.shell.word import LITERAL, Kind, Piece, Word

_SEPARATORS = re.compile(r"[=:,@]")
_SIGNS = re.compile(r"[\s;&|()<>'\"`]+")
"""What parts a line into words."""
_SEQUENCE = re.compile(
    r"(?:([A-Za-z])\.\.([A-Za-z])|(-?[0-9]{1,9})\.\.(-?[0-9]{1,9}))(?:\.\.-?[0-9]+)?", re.ASCII
)
_LONGEST_SEQUENCE = 32


def names_in(text: str, *, tilde: bool) -> list[str]:
    """The paths that a word may hold: as a whole, in the value of an option, in a list."""
    if not text:
        return []
    names = [text if tilde or text[0] != "~" else f"./{text}"]
    names += filter(None, _SEPARATORS.split(text)[1:])
    if len(text) > 2 and text[0] == "-" and text[1] != "-":
        names.append(text[2:])
    return names


def parts_of(word: Word) -> Iterator[Word]:
    """What stands between blanks and signs in a word that may be run as a line."""
    part: list[Piece] = []
    pieces = word.pieces or (Piece(Kind.PLAIN, word.text or ""),)
    if not any(piece.kind in LITERAL and _SIGNS.search(piece.text) for piece in pieces):
        return
    for piece in pieces:
        if piece.kind not in LITERAL:
            part.append(piece)
            continue
        first, *others = _SIGNS.split(piece.text)
        part.append(Piece(Kind.PLAIN, first))
        for text in others:
            yield Word(None, pieces=tuple(part))
            part = [Piece(Kind.PLAIN, text)]
    yield Word(None, pieces=tuple(part))


def sequence(text: str) -> list[str]:
    """What `{a..e}` or `{1..9}` becomes, and more: steps are not counted. Empty: it is none."""
    if (found := _SEQUENCE.fullmatch(text)) is None:
        return []
    first, last = found.group(1, 2) if found.group(1) else found.group(3, 4)
    if first.isalpha():
        low, high = sorted(map(ord, (first, last)))
        return list(map(chr, range(low, high + 1)))
    low, high = sorted(map(int, (first, last)))
    if high - low >= _LONGEST_SEQUENCE:
        return ["*"]
    width = max(map(len, (first, last)))
    numbers = [str(number) for number in range(low, high + 1)]
    return list(dict.fromkeys([*numbers, *(number.zfill(width) for number in numbers)]))

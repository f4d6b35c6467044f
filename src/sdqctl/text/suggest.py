"""What a misspelt word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

_CUTOFF = 0.6


def nearest(word: str, words: Iterable[str], *, cutoff: float = _CUTOFF) -> str | None:
    """The one of `words` that is most like `word`; None when none is like it.

    One with the same letters in another order is liked best: a typing mistake swaps letters.
    """
    near = nearest_few(word, words, 5, cutoff=cutoff)
    letters = sorted(word)
    swapped = (known for known in near if sorted(known) == letters)
    return next(swapped, next(iter(near), None))


def nearest_few(
    word: str, words: Iterable[str], most: int, *, cutoff: float = _CUTOFF
) -> list[str]:
    """Up to `most` of `words` that are like `word`, the most like it first.

    `cutoff` is the least likeness, from 0 to 1.
    """
    from difflib import get_close_matches

    return get_close_matches(word, list(words), n=most, cutoff=cutoff)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`; did you mean X?` for the end of a message; nothing when no word is like it."""
    near = nearest(word, words)
    return f"; did you mean {near}?" if near else ""


def meant(word: str, words: Iterable[str], kind: str) -> str:
    """A hint: the nearest of `words`, else all of them; `kind` is what they are, as a plural."""
    known = list(words)
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"known {kind}: {', '.join(known)}"

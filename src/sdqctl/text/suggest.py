"""What a misspelt word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that is most like `word`; None when none is like it."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(words), n=1)
    return found[0] if found else None


def meant(word: str, words: Iterable[str], kind: str) -> str:
    """A hint: the nearest of `words`, else all of them; `kind` is what they are, as a plural."""
    known = list(words)
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"known {kind}: {', '.join(known)}"

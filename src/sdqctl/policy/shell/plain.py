"""Words and commands whose meaning depends on nothing but how they are written.

They are taken out of a line whole, by one expression.
"""

from __future__ import annotations

import re

from sdqctl.policy.shell.tree import Redirection
from sdqctl.policy.shell.word import QUOTED_WORD, Word

_BARE = r"[A-Za-z0-9_./:=,+@%^~*?{}!-]++"
_VARIABLE = r"\$(?:[A-Za-z_]\w*+|\{[A-Za-z_]\w*+\}|[0-9@*#?$!])"
_OTHER = rf"{QUOTED_WORD}|{_VARIABLE}"
_WORD = rf"(?:{_BARE}(?:{_OTHER}|{_BARE})*+|(?:{_OTHER})(?:{_OTHER}|{_BARE})*+)"
"""A word without substitutions, escapes and subscripts."""
_SAFE = r"[012]?>>?[ \t]*+/dev/null|[12]?>&[12]|0?<[ \t]*+/dev/null"
"""A redirection that cannot fail."""
_END = r"(?=[\n;|)]|&(?!>)|\Z)"
_GAP = r"[ \t]++(?:\\\n[ \t]*+)*+"
PLAIN_WORDS = re.compile(rf"(?:{_WORD}(?:{_GAP}|{_END}))++", re.ASCII)
"""Words that are followed by others, or by the end of their command."""
PLAIN_COMMAND = re.compile(
    rf"{_WORD}(?:{_GAP}(?:{_WORD}(?![<>])|{_SAFE}))*+(?:{_GAP})?+{_END}", re.ASCII
)
"""A whole command of such words and redirections."""
SIMPLE_WORD = re.compile(r"[A-Za-z0-9_./:=,+@%^-]++(?=[ \t\n;&|<>()]|\Z)")
"""A word in which nothing means anything to the shell."""
_EACH_WORD = re.compile(_WORD, re.ASCII)
_EACH_PART = re.compile(rf"({_SAFE})|({_WORD})", re.ASCII)
_NULL = Word("/dev/null", "/dev/null")
_READ, _WRITTEN = Redirection(_NULL, reads=True), Redirection(_NULL, reads=False)


def words_of(text: str) -> list[str]:
    """The words of a text that PLAIN_WORDS matches."""
    if "'" in text or '"' in text or "\\" in text:
        return _EACH_WORD.findall(text)
    return text.split()


def parts_of(text: str) -> tuple[list[str], list[Redirection]]:
    """The words of a text that PLAIN_COMMAND matches, and the files that it opens."""
    if "<" not in text and ">" not in text:
        return words_of(text), []
    words: list[str] = []
    redirections: list[Redirection] = []
    for safe, word in _EACH_PART.findall(text):
        if word:
            words.append(word)
        elif "&" not in safe:
            redirections.append(_READ if "<" in safe else _WRITTEN)
    return words, redirections

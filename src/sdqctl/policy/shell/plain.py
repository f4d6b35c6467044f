"""Words and commands whose meaning depends on nothing but how they are written.

They are taken out of a line whole, by one expression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdqctl.policy.shell.tree import Redirection
from sdqctl.policy.shell.word import QUOTED_WORD, Word

_BARE_SIGNS = r"A-Za-z0-9_./:=,+@%^~*?{}!-"
_BARE = rf"[{_BARE_SIGNS}]++"
_VARIABLE = r"\$(?:[A-Za-z_]\w*+|\{[A-Za-z_]\w*+\}|[0-9@*#?$!])"
_OTHER = rf"{QUOTED_WORD}|{_VARIABLE}"
_WORD = rf"(?:{_BARE}(?:{_OTHER}|{_BARE})*+|(?:{_OTHER})(?:{_OTHER}|{_BARE})*+)"
"""A word without substitutions, escapes and subscripts."""
_SAFE = r"[012]?>>?[ \t]*+/dev/null|[12]?>&[12]|0?<[ \t]*+/dev/null"
"""A redirection that cannot fail."""
_END = r"(?=[\n;|)]|&(?!>)|\Z)"
_GAP = r"[ \t]++(?:\\\n[ \t]*+)*+"
_BEFORE = r"(?:(?<=[ \t\n])|(?<=[ \t\n][{}]))"
_REDIRECTED = (
    rf"(?:{_BEFORE.format('012')}>>?[ \t]*+/dev/null|{_BEFORE.format('0')}<[ \t]*+/dev/null"
    rf"|{_BEFORE.format('12')}>&[12])(?=[ \t\n;|)&]|\Z)"
)
"""Such a redirection, whose descriptor was taken for a word's beginning."""
_COMMAND = (
    rf"((?![ \t\\<>]|\d[<>])(?:[ \t{_BARE_SIGNS}]++|{_OTHER}|{_REDIRECTED}|(?<=[ \t\n])\\\n)++)"
)
PLAIN_WORDS = re.compile(
    rf"(?![ \t\\<>])(?:[ \t{_BARE_SIGNS}]++|{_OTHER}|(?<=[ \t\n])\\\n)++(?:(?<=[ \t\n])|{_END})"
    rf"|(?:{_WORD}(?:{_GAP}|{_END}))++",
    re.ASCII,
)
"""Words that are followed by others, or by the end of their command."""
PLAIN_COMMAND = re.compile(rf"{_COMMAND}{_END}", re.ASCII)
"""A whole command of such words and redirections."""
_OPERATOR = r"(&&|\|\||;|\|)[ \t]*+(?=[^ \t\n\\#;&|<>()])"
_DOCUMENT = r"(?<=[ \t])<<[ \t]*+(['\"]?)(\w[\w.-]*+)\3[ \t]*+(?=\n)"
PLAIN_STEP = re.compile(rf"{_COMMAND}(?:{_OPERATOR}|{_DOCUMENT}|{_END})", re.ASCII)
"""The same with the operator before another word, or with the beginning of a here-document."""
PLAIN_SETTING = re.compile(rf"([A-Za-z_]\w*+)=((\"?)\$\({_COMMAND}\)\3)[ \t]*+{_END}", re.ASCII)
"""A variable that is set to what such a command prints, and nothing else."""
PLAIN_MESSAGE = re.compile(
    rf"{_COMMAND}(?<=[ \t])(\"\$\({_COMMAND}(?<=[ \t])<<[ \t]*+'(\w[\w.-]*+)'[ \t]*+\n)", re.ASCII
)
"""A command whose last word is what a plain one makes of a here-document, to its first line."""
PLAIN_MESSAGE_END = re.compile(rf"\n[ \t]*+\)\"[ \t]*+{_END}")
PLAIN_LOOP = re.compile(
    rf"([A-Za-z_]\w*+)[ \t]++in((?:{_GAP}{_WORD})*+)[ \t]*+(?:;[ \t]*+\n?+|\n)[ \t]*+do[ \t]++",
    re.ASCII,
)
"""What follows the word `for` in a loop over such words."""
SIMPLE_WORD = re.compile(r"[A-Za-z0-9_./:=,+@%^-]++(?=[ \t\n;&|<>()]|\Z)")
"""A word in which nothing means anything to the shell."""
_EACH_WORD = re.compile(_WORD, re.ASCII)
_EACH_SAFE = re.compile(rf"[ \t]({_SAFE})")
_BLANK = re.compile(r"\s")
_EACH_PART = re.compile(rf"({_SAFE})|({_WORD})", re.ASCII)
_NULL = Word("/dev/null", "/dev/null")
_READ, _WRITTEN = Redirection(_NULL, reads=True), Redirection(_NULL, reads=False)


def words_of(text: str) -> list[str]:
    """The words of a text that PLAIN_WORDS matches."""
    double, single = '"' in text, "'" in text
    if "\\" in text or (double and single):
        return _EACH_WORD.findall(text)
    if double or single:
        quoted = text.split('"' if double else "'")[1::2]
        if _BLANK.search("".join(quoted)):
            return _EACH_WORD.findall(text)
    return text.split()


def parts_of(text: str) -> tuple[list[str], Sequence[Redirection]]:
    """The words of a text that PLAIN_COMMAND matches, and the files that it opens."""
    if "<" not in text and ">" not in text:
        return words_of(text), ()
    if "'" not in text and '"' not in text and "\\" not in text:
        parts = _EACH_SAFE.split(text)
        opened = [_READ if "<" in safe else _WRITTEN for safe in parts[1::2] if "&" not in safe]
        return " ".join(parts[::2]).split(), opened
    words: list[str] = []
    redirections: list[Redirection] = []
    for safe, word in _EACH_PART.findall(text):
        if word:
            words.append(word)
        elif "&" not in safe:
            redirections.append(_READ if "<" in safe else _WRITTEN)
    return words, redirections

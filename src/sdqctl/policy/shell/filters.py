"""Programs that do no harm next to an allowed one: filters of their input, and plain builtins.

Each is known with the options that neither write nor run anything nor follow a file. The files that
they name are returned, to be judged as reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sdqctl.policy.shell.word import Kind, Word

_NUMBER = re.compile(r"[-+]?\d{1,9}[bkKMGc]?", re.ASCII)
_SHORT_COUNT = re.compile(r"-\d{1,9}", re.ASCII)
_ADDRESS = r"(?:\d{1,9}|\$|/[^/\\\n\[]*/)"
_SED_COMMAND = re.compile(
    rf"\s*(?:{_ADDRESS}(?:,\s*{_ADDRESS})?)?\s*!?(?:[pdq=]"
    r"|s(?P<end>[/|#@,:])(?P<wanted>(?:\\.|(?!(?P=end))[^\\\n])*)(?P=end)"
    r"(?:\\.|(?!(?P=end))[^\\\n])*(?P=end)[gIip0-9]*)\s*(?:;|\Z)",
)
_PAIRED_BRACKETS = re.compile(r"(?:\\.|[^\[\\]|\[\^?\]?[^\]]*\])*")
_AWK_FIELD = r"\$(?:\d{1,4}|NF)"
_AWK_PROGRAM = re.compile(
    rf"\s*(?:NR\s*(?:==|>=?|<=?)\s*\d+)?\s*\{{\s*print(?:\s+{_AWK_FIELD}(?:\s*,\s*{_AWK_FIELD})*)?"
    r"\s*\}\s*"
)
_FREE = frozenset({"true", "false", ":", "echo", "basename", "dirname", "shift", "type"})
"""These take any words."""
_NUMBERED = frozenset({"exit", "return", "break", "continue", "sleep", "seq", "wait"})
_BARE = frozenset({"pwd"})
_CHECKED = frozenset({"printf", "test", "[", "read", "set", "local", "let"})
"""What these do besides is judged elsewhere."""


@dataclass(frozen=True)
class _Filter:
    flags: str = ""
    """Letters of options without a value."""
    valued: str = ""
    long: frozenset[str] = frozenset()
    patterns: int = 0
    """Operands before the files that are no files."""
    files: int = 1000
    counts: bool = False
    """Whether `-5` is an option."""


def _filter(flags: str, valued: str = "", long: str = "", **facts: int | bool) -> _Filter:
    return _Filter(flags, valued, frozenset(long.split()), **facts)  # type: ignore[arg-type]


_GREP = _filter(
    "EFGPivwxclLnoqshHaIbz",
    "mABCe",
    "--color --color=always --color=never --color=auto --count --ignore-case --invert-match "
    "--line-number --only-matching --quiet --extended-regexp --fixed-strings --word-regexp",
    patterns=1,
    counts=True,
)
_FILTERS = {
    "cat": _filter("nbsveEtTAu"),
    "head": _filter("qv", "nc", "--lines --bytes", counts=True),
    "tail": _filter("qv", "nc", "--lines --bytes", counts=True),
    "grep": _GREP,
    "egrep": _GREP,
    "fgrep": _GREP,
    "wc": _filter("lwcmL", "", "--lines --words --bytes --chars"),
    "sort": _filter("bdfgiMhnRrVcCmsuz", "kt", "--reverse --unique --numeric-sort"),
    "uniq": _filter("cdDuiz", "fsw", "--count --repeated --unique", files=1),
    "cut": _filter("sn", "dfcb", "--complement --only-delimited"),
    "tr": _filter("cCdst", patterns=2, files=0),
    "nl": _filter("p", "bfhilnsvw"),
    "rev": _filter(""),
    "tac": _filter("br"),
    "fold": _filter("bs", "w"),
    "paste": _filter("sz", "d"),
    "expand": _filter("i", "t"),
    "unexpand": _filter("a", "t"),
    "sed": _filter("nErsuz", "e", "--regexp-extended --quiet --silent", patterns=1),
    "awk": _filter("", "F", patterns=1),
}


def files_read(words: Sequence[Word]) -> list[str] | None:
    """The files that a harmless command reads besides its input; None: it is not harmless."""
    name, rest = words[0].text or "", words[1:]
    if name in _FREE or name in _CHECKED:
        return []
    if name in _NUMBERED:
        return [] if all(_is_number(word) for word in rest) else None
    if name in _BARE:
        return [] if not rest else None
    if name == "date":
        harmless = all((word.text or "").startswith("+") or word.text == "-u" for word in rest)
        return [] if harmless else None
    known = _FILTERS.get(name)
    given = None if known is None else _read_words(known, rest)
    return None if known is None or given is None else _files(name, known, given)


def bound(name: str) -> str:
    """What a refusal says further of a program that needs no rule with other words."""
    if name not in _FILTERS:
        return ""
    return " with these words; without a rule it reads its input and files that are named, alone"


def _is_number(word: Word) -> bool:
    if word.text is not None:
        return bool(_NUMBER.fullmatch(word.text))
    return word.raw in ("$?", "$#", "$!")


@dataclass
class _Given:
    """The words of a filter: the values of `-e`, and the operands (None: not known)."""

    expressions: list[str | None]
    operands: list[str | None]


def _read_words(known: _Filter, words: Sequence[Word]) -> _Given | None:
    """A filter's words taken apart, None when what one of them means is not known."""
    found = _Given([], [])
    index, options = 0, True
    while index < len(words):
        word = words[index]
        index += 1
        if word.splits or word.tilde:
            return None
        if options and word.text == "--":
            options = False
        elif not options or not _may_be_option(word):
            found.operands.append(word.text)
        else:
            taken = _option(known, word.text, words[index : index + 1], found)
            if taken is None:
                return None
            index += taken
    return found


def _may_be_option(word: Word) -> bool:
    if word.text is not None:
        return len(word.text) > 1 and word.text.startswith("-")
    text = next((piece.text for piece in word.pieces if piece.text), "")
    begins = next((p for p in word.pieces if p.text or p.kind not in (Kind.TEXT, Kind.PLAIN)), None)
    return begins is None or begins.kind not in (Kind.TEXT, Kind.PLAIN) or text.startswith("-")


def _option(
    known: _Filter, text: str | None, following: Sequence[Word], found: _Given
) -> int | None:
    """How many words after an option belong to it, None when it is not known."""
    if text is None:
        return None
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        if known.counts and name in ("--lines", "--bytes"):
            return 0 if equals and _NUMBER.fullmatch(value) else None
        return 0 if text in known.long else None
    if known.counts and _SHORT_COUNT.fullmatch(text):
        return 0
    for position, char in enumerate(text[1:], start=2):
        if char not in known.valued:
            if char not in known.flags:
                return None
            continue
        attached = position < len(text)
        if not attached and (not following or following[0].splits):
            return None
        if char == "e":
            found.expressions.append(text[position:] if attached else following[0].text)
        return 0 if attached else 1
    return 0


def _files(name: str, known: _Filter, given: _Given) -> list[str] | None:
    """The files among the operands, None when there are too many or one is not known."""
    first = 0 if given.expressions else known.patterns
    if name in ("sed", "awk"):
        scripts = given.expressions or given.operands[:1]
        is_plain = _is_plain_sed if name == "sed" else _is_plain_awk
        if not scripts or not all(map(is_plain, scripts)):
            return None
    files = given.operands[first:]
    if len(files) > known.files or len(given.operands) < min(first, 1):
        return None
    known_files = [file for file in files if file is not None]
    if len(known_files) < len(files):
        return None
    return [file for file in known_files if file != "-"]


def _is_plain_sed(script: str | None) -> bool:
    """Whether a script of sed only selects and replaces: it can write files and run programs."""
    at = 0
    while script is not None and at < len(script):
        found = _SED_COMMAND.match(script, at)
        if found is None or not _PAIRED_BRACKETS.fullmatch(found.group("wanted") or ""):
            return False
        at = found.end()
    return bool(script)


def _is_plain_awk(program: str | None) -> bool:
    """Whether a program of awk only prints fields: it can write files and run programs."""
    return program is not None and _AWK_PROGRAM.fullmatch(program) is not None

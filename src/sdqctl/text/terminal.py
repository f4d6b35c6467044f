"""Making text harmless for a terminal: what could drive it becomes visible instead."""

from __future__ import annotations

import re
import unicodedata

from sdqctl.text.undecoded import shown

# C0 and C1 controls but tab and newline, bidirectional and other invisible format characters, and
# lone surrogates (which cannot be encoded).
_HARMFUL = re.compile(
    "\r(?=\n)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")
_LONG_WORD = 12


def sanitize(text: str) -> str:
    """The text with every control character but tab and newline made visible, CRLF made LF."""
    return _HARMFUL.sub(_visible, text)


def sanitize_coloured(text: str) -> str:
    """The same, but colours stay."""
    parts = _COLOUR.split(text)
    return "".join(part if _COLOUR.fullmatch(part) else sanitize(part) for part in parts)


def one_line(text: str, width: int | None = None) -> str:
    """The text harmless on one line, cut to `width` columns with an ellipsis."""
    line = sanitize(" ".join(text.split()))
    if width is None or display_width(line) <= width:
        return line
    kept, used = [], 0
    for char in line:
        used += _columns(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if width > 0 else ""


def end_of(text: str, width: int) -> str:
    """The text harmless, cut to its last `width` columns: the end tells paths apart."""
    line = sanitize(text)
    if display_width(line) <= width:
        return line
    kept, used = [], 1
    for char in reversed(line):
        used += _columns(char)
        if used > width:
            break
        kept.append(char)
    return "…" + "".join(reversed(kept))


def title(text: str, width: int) -> str:
    """The text on one line, cut between words: half a word might be half a secret."""
    whole = one_line(text)
    cut = one_line(text, width)
    if cut == whole:
        return whole
    words, blank, _ = cut.rpartition(" ")
    return f"{words} …" if blank else f"{cut[:_LONG_WORD]}…"


def between_words(text: str, width: int) -> str:
    """The text on one line, cut between words to about `width` columns.

    The first word stays whole as long as it has at most ten times as many: a path of which only
    the beginning is shown means another file.
    """
    whole = one_line(text)
    if display_width(whole) <= width:
        return whole
    first, _, rest = whole.partition(" ")
    if display_width(first) >= width - 2:
        cut = one_line(first, 10 * width)
        return f"{cut} …" if rest and cut == first else cut
    return f"{one_line(whole, width - 1)[:-1].rpartition(' ')[0].rstrip()} …"


def display_width(text: str) -> int:
    """How many columns a terminal gives the text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x0D and match.string[match.end() : match.end() + 1] == "\n":
        return ""
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return shown(match.group())
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

"""A word of a command line, in the parts that tell what it may become."""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from sdqctl.policy.shell.facts import UnclearCommandError

_UNSAFE_BLANK = re.compile(r"[\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]")

QUOTED_WORD = r"""'[^']*+'|"(?:[^"\\`$]++|\$(?:[A-Za-z_]\w*+|\{[A-Za-z_]\w*+\}))*+\""""
"""A quoted text that holds no more than plain variables."""
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


class Kind(Enum):
    """What a part of a word is."""

    TEXT = "text"
    """Quoted: taken as it is."""
    PLAIN = "plain"
    """Not quoted: globs and braces in it are expanded."""
    VARIABLE = "variable"
    """A variable's value; `text` is its name, `default` what `${x:-default}` says."""
    NUMBER = "number"
    """A number, whatever it is."""
    UNKNOWN = "unknown"
    """`default` is what it most likely becomes, as of `$'...'`."""


LITERAL = (Kind.TEXT, Kind.PLAIN)
"""The parts that are what is written."""
_ESCAPE = re.compile(
    rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|c.|.)", re.DOTALL
)
_ESCAPES = {
    bytes([name]): bytes([code])
    for name, code in zip(b"abeEfnrtv\\'\"?", b"\a\b\x1b\x1b\f\n\r\t\v\\'\"?", strict=True)
}


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A part of a word."""

    kind: Kind
    text: str = ""
    default: str | None = None
    sure: bool = False
    """Of a number: whether there is one for certain; arithmetic may fail."""
    changed: bool = False
    """Of a variable: whether it becomes another text than its value, as `${x#a}` and `$x{a,b}`."""

    @property
    def counts(self) -> bool:
        """Whether it may be more than an empty text."""
        return bool(self.text) or self.kind not in LITERAL


class Word(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A word of one line, which is equal to no other.

    `text` None: what it becomes is known only when the shell runs it.
    """

    text: str | None
    raw: str = ""
    """As it is written, without line continuations."""
    tilde: bool = False
    """Whether it begins with an unquoted `~`."""
    pieces: tuple[Piece, ...] = ()
    """Its parts, where the text is not known."""
    splits: bool = False
    """Whether it may become several words, or none."""


class Parts:
    """The word that is being read."""

    __slots__ = ("pieces", "splits")

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.splits = False

    def add(
        self,
        kind: Kind,
        text: str = "",
        default: str | None = None,
        *,
        sure: bool = False,
        changed: bool = False,
    ) -> None:
        """Put a part behind the others."""
        self.pieces.append(Piece(kind, text, default, sure, changed))


def ansi_text(text: str) -> str:
    """What becomes of the text in `$'...'` in a UTF-8 locale (bash(1), QUOTING)."""
    found = _ESCAPE.sub(_unescaped, text.encode("utf-8", "surrogatepass"))
    return found.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found.group(1)
    if code[0] in b"01234567":
        return bytes([int(code, 8) & 0xFF])
    if code[0] in b"x" and len(code) > 1:
        return bytes([int(code[1:], 16)])
    if code[0] in b"uU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else b""
    if code[0] in b"c" and len(code) > 1:
        return bytes([code[1] & 0x1F])
    return _ESCAPES.get(code, b"\\" + code)


def finished_word(pieces: list[Piece], raw: str, *, tilde: bool, splits: bool) -> Word:
    """The word that these parts make."""
    if raw in ("[", "[["):
        return Word(raw, raw)
    known, expands = known_and_expands(pieces)
    if known:
        return Word("".join(piece.text for piece in pieces), raw, tilde)
    return Word(None, raw, tilde, tuple(pieces), splits or expands)


def quoted_word(raw: str) -> Word:
    """The word that a text like QUOTED_WORD makes."""
    text = raw[1:-1]
    raw = raw.replace("\\\n", "")
    if raw[0] == "'" or "$" not in text:
        return Word(text, raw)
    pieces, end = [Piece(Kind.TEXT)], 0
    for found in _VARIABLE.finditer(text):
        if end < found.start():
            pieces.append(Piece(Kind.TEXT, text[end : found.start()]))
        pieces.append(Piece(Kind.VARIABLE, found.group(1) or found.group(2)))
        end = found.end()
    if end < len(text):
        pieces.append(Piece(Kind.TEXT, text[end:]))
    return Word(None, raw, False, tuple(pieces))


def known_and_expands(pieces: list[Piece]) -> tuple[bool, bool]:
    """Whether the text of these parts is known, and whether a glob or brace in them expands."""
    known, expands, braces = True, False, False
    for piece in pieces:
        if piece.kind is Kind.PLAIN:
            text = piece.text
            glob = "*" in text or "?" in text or "[" in text
            brace = braces or "{" in text
            separated = brace and ("," in text or ".." in text)
            braces = brace
            expands = expands or glob or separated
            known = known and not may_hold_blank(text)
        elif piece.kind is not Kind.TEXT:
            known = False
    return known and not expands, expands


def may_hold_blank(text: str) -> bool:
    """Whether some locale sees a blank in a text that has none."""
    if text.isascii():
        return False
    data = text.encode()
    return bool(_UNSAFE_BLANK.search(text)) or b"\x85" in data or b"\xa0" in data


def known_text(pieces: list[Piece]) -> str | None:
    """The text that these parts make, None when only the shell knows."""
    known, _ = known_and_expands(pieces)
    return "".join(piece.text for piece in pieces) if known else None


def assigned_value(word: Word, begin: int) -> Word:
    """The value of an assignment, in which globs and braces mean nothing. It begins at `begin`."""
    raw = word.raw[begin:]
    tilde = raw.startswith("~")
    if word.text is not None:
        return Word(word.text[begin:], raw, tilde)
    for piece in word.pieces:
        if piece.kind is Kind.PLAIN and may_hold_blank(piece.text):
            raise UnclearCommandError("a variable's value is not clear")
    first = word.pieces[0].text
    if len(first) < begin:
        return Word(None, raw)
    pieces = (Piece(Kind.PLAIN, first[begin:]), *word.pieces[1:])
    for piece in pieces:
        if piece.kind is not Kind.TEXT and piece.kind is not Kind.PLAIN:
            return Word(None, raw, tilde, pieces)
    return Word("".join(piece.text for piece in pieces), raw, tilde)

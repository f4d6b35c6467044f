"""Arithmetic: what `$((...))`, `((...))`, subscripts and offsets evaluate.

bash evaluates the value of each name that an expression holds, and with it any substitution in a
subscript of that value. So every name is reported, and whatever else takes a value from elsewhere.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

from sdqctl.policy.shell.facts import Doubt, Fact, Set, UnclearCommandError, Use

_TOKEN = re.compile(
    r"(?P<blank>[ \t\n]+)"
    r"|(?P<number>\d{1,18}(?:\#\w+)?(?!\w)|0[xX][0-9a-fA-F]{1,15}(?!\w))"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<assign>(?:<<|>>|[-+*/%&|^])=|=(?!=)|\+\+|--)"
    r"|(?P<branch>&&|\|\||\?)"
    r"|(?P<operator><<|>>|[<>=!]=|\*\*|[-+*/%<>!&|^~:,])",
    re.ASCII,
)
_VALUE = re.compile(
    r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\}|[#?$!]|\{#(?:[A-Za-z_]\w*(?:\[[@*]\])?|[@*])?\})",
    re.ASCII,
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_LONGEST_SURE = 200
_ATOM = "s*[nv1]"
_SUM = rf"{_ATOM}(?:[so]{_ATOM})*"
_IN_PARENTHESES = re.compile(rf"\({_SUM}\)")
_PART = rf"(?:(?:n=)?{_SUM}|ni|in)"
_SURE = re.compile(rf"{_PART}(?:,{_PART})*")
"""An expression that cannot fail, in the signs of `_Tokens`: it divides nothing."""
_VALUES = "its arithmetic takes a value that is known only when the shell runs"


class Reader(Protocol):
    """What is needed of the reader of a command line."""

    text: str
    at: int

    def follows(self, text: str) -> bool: ...
    def skip_expansion(self) -> None: ...


def is_number(text: str | None) -> bool:
    """Whether a value is a literal number, which evaluates to itself."""
    return text is not None and _NUMBER.fullmatch(text) is not None


class Expression(msgspec.Struct, frozen=True, gc=False):
    """What an expression does. `sure`: it cannot fail."""

    facts: list[Fact]
    sure: bool


def read_expression(reader: Reader, close: str) -> Expression:
    """The expression up to `close`, which is consumed. Raises UnclearCommandError."""
    tokens = _Tokens(reader)
    stack: list[str] = []
    while stack or not reader.follows(close):
        char = reader.text[reader.at : reader.at + 1]
        if char in ("(", "["):
            stack.append(char)
            tokens.bracket(char)
        elif char in (")", "]") and char:
            if not stack or stack.pop() + char not in ("()", "[]"):
                raise UnclearCommandError("its arithmetic is not clear")
            tokens.bracket(char)
        else:
            tokens.next(char)
    reader.at += len(close)
    return Expression(tokens.facts(), tokens.sure)


class _Tokens:
    """The tokens of one expression. An assignment is known by what follows or precedes its name."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._facts: list[Fact] = []
        self._name: str | None = None
        self._stepped = False
        self._branches = False
        self._doubt = ""
        self._signs: list[str] = []
        """What stands there: n a name, v a value, 1 a number, s a sign, o an operator, i a step."""

    def bracket(self, char: str) -> None:
        self._reader.at += 1
        self._signs.append(char)
        if char in "[]":
            self._doubt = self._doubt or "a subscript is evaluated in its arithmetic"
        self._end_name()

    def next(self, char: str) -> None:
        if char in ("$", "`", '"') and char:
            self._value()
            return
        found = _TOKEN.match(self._reader.text, self._reader.at)
        if found is None:
            raise UnclearCommandError("its arithmetic is not clear")
        self._reader.at = found.end()
        kind = found.lastgroup
        self._signs.append(_sign(kind or "", found.group()))
        if kind == "name":
            self._end_name()
            self._name = found.group()
        elif kind == "assign":
            self._assign(found.group())
        elif kind != "blank":
            self._branches = self._branches or kind == "branch"
            self._end_name()

    def _value(self) -> None:
        self._end_name()
        reader = self._reader
        joined = _is_name_character(reader.text[reader.at - 1])
        signed = reader.text[reader.at - 1] in "+-"
        if found := _VALUE.match(reader.text, reader.at):
            reader.at = found.end()
            self._signs.append("x" if signed or found.group() == "$!" else "v")
            if name := found.group(1) or found.group(2):
                self._facts.append(Use(name))
        else:
            reader.skip_expansion()
            self._doubt = self._doubt or _VALUES
        if joined or _is_name_character(reader.text[reader.at : reader.at + 1]):
            self._doubt = self._doubt or _VALUES

    def _assign(self, operator: str) -> None:
        name, self._name = self._name, None
        if operator in ("++", "--") and name is None:
            self._stepped = True
            return
        if name is None:
            self._doubt = self._doubt or "its arithmetic sets what is not a plain name"
            return
        if operator != "=":
            self._facts.append(Use(name))
        self._facts.append(Set(name, number=True, certain=True))

    def _end_name(self) -> None:
        name, self._name = self._name, None
        if name is None:
            return
        self._facts.append(Use(name))
        if self._stepped:
            self._facts.append(Set(name, number=True))
        self._stepped = False

    def facts(self) -> list[Fact]:
        """What the expression does; what it sets counts after all that it uses."""
        self._end_name()
        if self._doubt:
            self._facts.append(Doubt(self._doubt))
        uses: list[Fact] = [fact for fact in self._facts if not isinstance(fact, Set)]
        sets = [fact for fact in self._facts if isinstance(fact, Set)]
        if not self.sure:
            sets = [Set(fact.name, number=True) for fact in sets]
        return [*uses, *sets]

    @property
    def sure(self) -> bool:
        """Whether the expression cannot fail, so that what it sets is set."""
        signs, before = "".join(self._signs), ""
        if self._doubt or self._branches or len(signs) > _LONGEST_SURE:
            return False
        while signs != before:
            signs, before = _IN_PARENTHESES.sub("1", signs), signs
        return _SURE.fullmatch(signs) is not None


def _sign(kind: str, text: str) -> str:
    """What a token is for `_SURE`."""
    if kind == "blank":
        return ""
    if kind == "number":
        return "1" if is_number(text) else "x"
    if kind == "assign":
        return "i" if text in ("++", "--") else "=" if text in ("=", "+=", "-=", "*=") else "x"
    if text == ",":
        return ","
    if kind == "operator":
        sure = text in ("*", "<", ">", "<=", ">=", "==", "!=", "&", "|", "^")
        return "s" if text in "+-" else "o" if sure else "x"
    return "n" if kind == "name" else "x"


def _is_name_character(char: str) -> bool:
    return char == "_" or char.isalnum()

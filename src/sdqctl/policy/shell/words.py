"""Reading the words of a shell's command line: quotes, expansions, substitutions.

What bash(1) would do with a word is followed as far as it decides which commands run. A place that
shells read differently is an `UnclearCommandError`, and the policy denies it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_DEEPEST = 40
_META = frozenset(" \t\n;&|<>()")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]", re.ASCII)
_PLAIN_PARAMETER = re.compile(r"#?(?:[A-Za-z_]\w*|[0-9@*#?$!-])\}", re.ASCII)
_ARITHMETIC = re.compile(r"[\w\s+\-*/%<>=!&|^~?:,\[\]#.]", re.ASCII)


class UnclearCommandError(Exception):
    """The command line could mean something that was not seen."""


@dataclass(frozen=True)
class Word:
    """A word. `text` None: what it becomes is known only when the shell runs it."""

    text: str | None
    raw: str = ""
    """As it is written, without line continuations."""
    tilde: bool = False
    """Whether it begins with an unquoted `~`."""


@dataclass
class _Parts:
    chars: list[str] = field(default_factory=list)
    known: bool = True
    bracket: bool = False


@dataclass
class Facts:
    """What was met anywhere in a line, also in its nested parts."""

    evaluates: bool = False
    """Whether an arithmetic context was met: there a variable's value can run commands."""


class WordReader(ABC):
    """A position in a command line, and the words from there on."""

    def __init__(self, text: str, depth: int = 0) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self.facts = Facts()

    @abstractmethod
    def commands_until_parenthesis(self) -> None:
        """Read the commands of a substitution up to its `)`."""

    @abstractmethod
    def commands_of(self, text: str) -> None:
        """Read the commands of a text of its own."""

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def follows(self, text: str) -> bool:
        """Whether this text comes next."""
        return self.text.startswith(text, self.at)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level of nesting. Raises UnclearCommandError when there are too many."""
        if self.depth >= _DEEPEST:
            raise UnclearCommandError("it is nested too deep")
        self.depth += 1
        yield
        self.depth -= 1

    def word(self) -> Word:
        """The word that begins here; its raw text is empty when none does."""
        begin, parts = self.at, _Parts()
        tilde = self.peek() == "~"
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in "<>" and self.follows(char + "("):
                self._process_substitution(parts)
            elif char in _META:
                break
            else:
                self._part(char, parts)
        raw = self.text[begin : self.at].replace("\\\n", "")
        if parts.bracket and raw not in ("[", "[["):
            parts.known = False
        return Word("".join(parts.chars) if parts.known else None, raw, tilde)

    def _process_substitution(self, parts: _Parts) -> None:
        self.at += 2
        with self.deeper():
            self.commands_until_parenthesis()
        parts.known = False

    def _part(self, char: str, parts: _Parts) -> None:
        if char == "\\":
            self._escape(parts)
        elif char == "'":
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise UnclearCommandError("a quote is not closed")
            parts.chars.append(self.text[self.at + 1 : end])
            self.at = end + 1
        elif char == '"':
            self._double_quoted(parts)
        elif char == "$":
            self._dollar(parts, quoted=False)
        elif char == "`":
            self._backtick(parts, quoted=False)
        else:
            self._plain(char, parts)

    def _plain(self, char: str, parts: _Parts) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if char in "*?" or (char == "{" and following != "}" and following not in _META):
            parts.known = False
        parts.bracket = parts.bracket or char == "["
        parts.chars.append(char)
        self.at += 1

    def _escape(self, parts: _Parts) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if not following:
            raise UnclearCommandError("it ends in a backslash")
        if following != "\n":
            parts.chars.append(following)
        self.at += 2

    def _double_quoted(self, parts: _Parts) -> None:
        self.at += 1
        while (char := self.peek()) != '"':
            if not char:
                raise UnclearCommandError("a quote is not closed")
            self._quoted_part(char, parts)
        self.at += 1

    def _quoted_part(self, char: str, parts: _Parts) -> None:
        """One part of a text in which only `$`, backticks and backslashes mean something."""
        following = self.text[self.at + 1 : self.at + 2]
        if char == "\\" and following and following in '$`"\\\n':
            parts.chars.append(following if following != "\n" else "")
            self.at += 2
        elif char == "$":
            self._dollar(parts, quoted=True)
        elif char == "`":
            self._backtick(parts, quoted=True)
        else:
            parts.chars.append(char)
            self.at += 1

    def expansions(self) -> None:
        """Read the whole text as the body of a here-document."""
        parts = _Parts()
        while char := self.peek():
            self._quoted_part(char, parts)

    def _dollar(self, parts: _Parts, *, quoted: bool) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if following == "\\":
            raise UnclearCommandError("a backslash follows a $")
        expands = following in ("(", "{", "[") or (following in ("'", '"') and not quoted)
        if expands and following:
            parts.known = False
            with self.deeper():
                self._expansion(following, quoted)
        elif name := _NAME.match(self.text, self.at + 1):
            parts.known = False
            self.at = name.end()
        else:
            parts.chars.append("$")
            self.at += 1

    def _expansion(self, following: str, quoted: bool) -> None:
        self.at += 2
        if following == "(" and self.peek() == "(":
            self.at += 1
            self.arithmetic("))")
        elif following == "(":
            self.commands_until_parenthesis()
        elif following == "[":
            self.arithmetic("]")
        elif following == "{":
            self._parameter(quoted)
        elif following == "'":
            self._ansi_quoted()
        else:
            self.at -= 1
            self._double_quoted(_Parts())

    def _ansi_quoted(self) -> None:
        while (char := self.peek()) != "'":
            if not char:
                raise UnclearCommandError("a quote is not closed")
            self.at += 2 if char == "\\" else 1
        self.at += 1

    def _parameter(self, quoted: bool) -> None:
        """The rest of `${...}`."""
        if plain := _PLAIN_PARAMETER.match(self.text, self.at):
            self.at = plain.end()
            return
        self.facts.evaluates = True
        if self.peek() in (" ", "\t", "\n", "|"):
            raise UnclearCommandError("it uses ${ with a blank")
        while (char := self.peek()) != "}":
            self._parameter_part(char, quoted)
        self.at += 1

    def _parameter_part(self, char: str, quoted: bool) -> None:
        unclear = not char or char == "{" or self.follows("@P") or self.follows("\\\n")
        unclear = unclear or self.follows("<(") or self.follows(">(")
        if unclear or (char == "'" and quoted):
            raise UnclearCommandError("it uses ${...} in a way that is not clear")
        if quoted and char != '"':
            self._quoted_part(char, _Parts())
        else:
            self._part(char, _Parts())

    def arithmetic(self, close: str) -> None:
        """Skip an arithmetic text up to `close`, reading the substitutions in it."""
        self.facts.evaluates = True
        open_parentheses = open_brackets = 0
        while open_parentheses or open_brackets or not self.follows(close):
            char = self.peek()
            if char == "$":
                self._dollar(_Parts(), quoted=True)
                continue
            if char == "`":
                self._backtick(_Parts(), quoted=True)
                continue
            if not (char in ("(", ")") or _ARITHMETIC.match(char)) or not char:
                raise UnclearCommandError("its arithmetic is not clear")
            open_parentheses += (char == "(") - (char == ")")
            open_brackets += (char == "[") - (char == "]")
            if open_parentheses < 0 or open_brackets < 0:
                raise UnclearCommandError("its arithmetic is not clear")
            self.at += 1
        self.at += len(close)

    def _backtick(self, parts: _Parts, *, quoted: bool) -> None:
        parts.known = False
        self.at += 1
        escapable = '$`\\"' if quoted else "$`\\"
        body: list[str] = []
        while (char := self.peek()) != "`":
            following = self.text[self.at + 1 : self.at + 2]
            if not char:
                raise UnclearCommandError("a backtick is not closed")
            escaped = char == "\\" and following != "" and following in escapable
            body.append(following if escaped else char)
            self.at += 2 if escaped else 1
        self.at += 1
        with self.deeper():
            self.commands_of("".join(body))

"""Reading the words of a shell's command line: quotes, expansions, substitutions.

What bash(1) would do with a word is followed as far as it decides which commands run. A place that
shells read differently is an `UnclearCommandError`, and the policy denies it. With `posix` a
text is read for a shell that may be dash or bash: what they read differently is unclear as well.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from sdqctl.policy.shell.arithmetic import read_expression
from sdqctl.policy.shell.facts import Doubt, Fact, Risk, Set, UnclearCommandError
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.plain import SIMPLE_WORD
from sdqctl.policy.shell.scopes import Level
from sdqctl.policy.shell.word import (
    QUOTED_WORD,
    Kind,
    Parts,
    Word,
    ansi_text,
    finished_word,
    known_text,
    quoted_word,
)

_DEEPEST = 24
_META = frozenset(" \t\n;&|<>()")
_AFTER_WORD = frozenset(["", *" \t\n;&|()"])
_PLAIN = re.compile(r"[^ \t\n;&|<>()\\'\"`$]+")
_WHOLE_QUOTED = re.compile(rf"(?:{QUOTED_WORD})(?=[ \t\n;&|<>()]|\Z)", re.ASCII)
_PLAIN_DOUBLE = re.compile(r'"([^"\\`$]*)"')
_QUOTED = re.compile(r'[^"\\`$]+')
_BODY = re.compile(r"[^\\`$]+")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]", re.ASCII)
_INDEX = r"\[(?:[@*]|-?\d{1,9})\]"
_PLAIN_PARAMETER = re.compile(rf"#?(?:[A-Za-z_]\w*({_INDEX})?|\d+|[@*#?$!-])\}}", re.ASCII)
_PARAMETER = re.compile(rf"(!?)([A-Za-z_]\w*|\d+|[@*])({_INDEX})?", re.ASCII)
_OPERATOR = re.compile(r":?[-=?+]|##?|%%?|//?|\^\^?|,,?|@[QEUuLakKAP]\}|:", re.ASCII)
_POSIX_OPERATORS = frozenset({":-", "-", ":=", "=", ":?", "?", ":+", "+", "#", "##", "%", "%%"})
_ANSI_QUOTED = re.compile(r"(?:[^'\\]|\\.)*+'", re.DOTALL)
_INDIRECT = re.compile(r"[A-Za-z_]\w*\[[@*]\]\}", re.ASCII)
_OPEN_SUBSCRIPT = re.compile(r"[A-Za-z_]\w*\[[^\]]*\Z", re.ASCII)
_OPENING = re.compile(r"([A-Za-z_]\w*+=)?+(\"?)\$\((?![(\\])", re.ASCII)
"""A word that begins with a substitution, also one that a variable is set to."""
_TEXT_IN_PARAMETER = re.compile(r"[^\\'\"`$}{<>()&|;\n]+")


class WordReader(ABC):
    """A position in a command line, and the words from there on."""

    def __init__(self, text: str, meter: Meter, *, depth: int = 0, posix: bool = False) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self.posix = posix
        self.meter = meter
        self.facts: list[Fact] = []
        """What the expansions of the current command do besides."""

    @abstractmethod
    def substitution(self) -> None:
        """Read the commands of a substitution up to its `)`."""

    @abstractmethod
    def backticks(self, text: str) -> None:
        """Read the commands of a text between backticks."""

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def follows(self, text: str) -> bool:
        """Whether this text comes next."""
        return self.text.startswith(text, self.at)

    def bash_only(self, what: str) -> None:
        """Raise UnclearCommandError where a text may be read by another shell."""
        if self.posix:
            raise UnclearCommandError(f"not every sh knows {what}; use bash -c")

    def deeper(self) -> Level:
        """One level of nesting. Raises UnclearCommandError when there are too many."""
        self.check_depth()
        return Level(self)

    def check_depth(self) -> None:
        """Raise UnclearCommandError where there may be no further level."""
        if self.depth >= _DEEPEST:
            raise UnclearCommandError("it is nested too deep")

    def word(self) -> Word:
        """The word that begins here; its raw text is empty when none does."""
        self.meter.spend(1)
        if simple := SIMPLE_WORD.match(self.text, self.at):
            self.at = simple.end()
            text = simple.group()
            return Word(text, text)
        if quoted := _WHOLE_QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            return quoted_word(quoted.group())
        begin, parts = self.at, Parts()
        tilde = self.peek() == "~"
        if opening := _OPENING.match(self.text, begin):
            self._opening(opening, parts)
            if self.text[self.at : self.at + 1] in _AFTER_WORD:
                raw = self.text[begin : self.at].replace("\\\n", "")
                return Word(None, raw, False, tuple(parts.pieces), parts.splits)
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in "<>" and self.follows(char + "("):
                self._process_substitution(parts)
            elif char in _META:
                break
            else:
                self._part(char, parts)
        raw = self.text[begin : self.at].replace("\\\n", "")
        if self.at < len(self.text) and _OPEN_SUBSCRIPT.match(raw):
            raise UnclearCommandError("a subscript is not closed")
        return finished_word(parts.pieces, raw, tilde=tilde, splits=parts.splits)

    def _opening(self, found: re.Match[str], parts: Parts) -> None:
        """The substitution that a word begins with, to the end of its quote."""
        name, quote = found.groups()
        self.meter.spend(2 if quote else 1)
        if name:
            parts.add(Kind.PLAIN, name)
        if quote:
            parts.add(Kind.TEXT)
        parts.splits = not quote
        self.at = found.end() - 2
        self._substitute(parts)
        if quote:
            self._rest_of_quote(parts)

    def _process_substitution(self, parts: Parts) -> None:
        self.bash_only("<(...)")
        self._substitute(parts)

    def _substitute(self, parts: Parts) -> None:
        """The commands of `$(...)` or `<(...)`."""
        self.at += 2
        self.check_depth()
        self.depth += 1
        self.substitution()
        self.depth -= 1
        parts.add(Kind.UNKNOWN)

    def _part(self, char: str, parts: Parts) -> None:
        self.meter.spend(1)
        if char == "\\":
            self._escape(parts)
        elif char == "'":
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise UnclearCommandError("a quote is not closed")
            parts.add(Kind.TEXT, self.text[self.at + 1 : end])
            self.at = end + 1
        elif char == '"':
            if plain := _PLAIN_DOUBLE.match(self.text, self.at):
                parts.add(Kind.TEXT, plain.group(1))
                self.at = plain.end()
            else:
                self._double_quoted(parts)
        elif char == "$":
            self._dollar(parts, quoted=False)
        elif char == "`":
            self._backtick(parts, quoted=False)
        else:
            plain = _PLAIN.match(self.text, self.at)
            assert plain is not None
            parts.add(Kind.PLAIN, plain.group())
            self.at = plain.end()

    def _escape(self, parts: Parts) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if not following:
            raise UnclearCommandError("it ends in a backslash")
        if following != "\n":
            parts.add(Kind.TEXT, following)
        self.at += 2

    def _double_quoted(self, parts: Parts) -> None:
        self.at += 1
        parts.add(Kind.TEXT)
        self._rest_of_quote(parts)

    def _rest_of_quote(self, parts: Parts) -> None:
        while (char := self.peek()) != '"':
            if not char:
                raise UnclearCommandError("a quote is not closed")
            self._quoted_part(char, parts, _QUOTED)
        self.at += 1

    def _quoted_part(self, char: str, parts: Parts, run: re.Pattern[str]) -> None:
        """One part of a text in which only `$`, backticks and backslashes mean something."""
        self.meter.spend(1)
        if char == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            escaped = following != "" and following in '$`"\\\n'
            parts.add(Kind.TEXT, following.strip("\n") if escaped else "\\")
            self.at += 2 if escaped else 1
        elif char == "$":
            self._dollar(parts, quoted=True)
        elif char == "`":
            self._backtick(parts, quoted=True)
        else:
            plain = run.match(self.text, self.at)
            end = plain.end() if plain is not None else self.at + 1
            parts.add(Kind.TEXT, self.text[self.at : end])
            self.at = end

    def here_document(self) -> None:
        """Read the whole text as the body of a here-document."""
        parts = Parts()
        while char := self.peek():
            self._quoted_part(char, parts, _BODY)

    # -- expansions ----------------------------------------------------------------------------

    def _dollar(self, parts: Parts, *, quoted: bool) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if following == "(" and self.text[self.at + 2 : self.at + 3] not in ("(", "\\"):
            parts.splits = parts.splits or not quoted
            self._substitute(parts)
            return
        if following == "\\" or not following.isascii():
            raise UnclearCommandError("it is not clear what follows a $")
        expands = following in ("(", "{", "[") or (following in ("'", '"') and not quoted)
        if expands and following:
            parts.splits = parts.splits or not quoted
            with self.deeper():
                self._expansion(following, parts, quoted)
        elif name := _NAME.match(self.text, self.at + 1):
            text, self.at = name.group(), name.end()
            number = text in "#?$!"
            parts.splits = parts.splits or (not quoted and not number) or text == "@"
            kind, sure = (Kind.NUMBER, text != "!") if number else (Kind.VARIABLE, False)
            braced = self.follows("{") or self.follows("}")  # braces come first: `$x{a,b}`
            parts.add(kind, text, sure=sure, changed=braced)
        else:
            parts.add(Kind.TEXT, "$")
            self.at += 1

    def _expansion(self, following: str, parts: Parts, quoted: bool) -> None:
        self.at += 2
        if self.follows("\\\n"):
            raise UnclearCommandError("a line is continued within an expansion")
        if following == "{":
            self._parameter(parts, quoted)
            return
        if following == "(" and self.peek() == "(":
            self.at += 1
            parts.add(Kind.NUMBER, sure=self.expression("))"))
            return
        default = None
        if following == "(":
            self.substitution()
        elif following == "[":
            self.bash_only("$[...]")
            parts.add(Kind.NUMBER, sure=self.expression("]"))
            return
        elif following == "'":
            self.bash_only("$'...'")
            default = self._ansi_quoted()
        else:
            self.bash_only('$"..."')
            self.at -= 1
            translated = Parts()
            self._double_quoted(translated)
            default = known_text(translated.pieces)
        parts.add(Kind.UNKNOWN, default=default)

    def expression(self, close: str, *, drops: bool = True) -> bool:
        """Read an arithmetic expression up to `close`; whether it cannot fail.

        `drops`: whether bash drops the rest of the line when it fails.
        """
        begin = self.at
        found = read_expression(self, close)
        self.meter.spend(self.at - begin)
        self.facts += found.facts
        if drops and not found.sure:
            self.facts.append(Risk())
        return found.sure

    def _ansi_quoted(self) -> str:
        if (found := _ANSI_QUOTED.match(self.text, self.at)) is None:
            raise UnclearCommandError("a quote is not closed")
        self.at = found.end()
        return ansi_text(found.group()[:-1])

    def skip_expansion(self) -> None:
        """Read a `$...`, backtick or quote of an arithmetic text for the commands in it."""
        if self.peek() == '"':
            self._double_quoted(Parts())
        elif self.peek() == "$":
            self._dollar(Parts(), quoted=True)
        else:
            self._backtick(Parts(), quoted=True)

    def _parameter(self, parts: Parts, quoted: bool) -> None:
        """The rest of `${...}`."""
        if plain := _PLAIN_PARAMETER.match(self.text, self.at):
            if plain.group(1):
                self.bash_only("arrays")
            name = plain.group()[:-1]
            counts = name.startswith("#") and len(name) > 1
            parts.splits = parts.splits or "@" in name
            if counts or name in ("#", "?", "$", "!"):
                parts.add(Kind.NUMBER, sure=name != "!")
            elif plain.group(1):
                parts.add(Kind.UNKNOWN)
            else:
                parts.add(Kind.VARIABLE, name)
            self.at = plain.end()
            return
        found = _PARAMETER.match(self.text, self.at)
        if found is None:
            raise UnclearCommandError("it uses ${...} in a way that is not clear")
        self.at = found.end()
        if found.group(1) or found.group(3) or self.peek() == "[":
            self.bash_only("arrays and ${!...}")
        if found.group(1) and not _INDIRECT.match(self.text, found.start(2)):
            self.facts.append(Doubt("${!...} takes a name from a value"))
        if self.peek() == "[":
            self.at += 1
            self.expression("]")
        parts.splits = parts.splits or "@" in found.group()
        self._operation(found.group(2), parts, quoted)

    def _operation(self, name: str, parts: Parts, quoted: bool) -> None:
        """What `${name` goes on with, and its end."""
        if self.peek() == "}":
            self.at += 1
            parts.add(Kind.UNKNOWN)
            return
        found = _OPERATOR.match(self.text, self.at)
        if found is None or (self.posix and found.group() not in _POSIX_OPERATORS):
            raise UnclearCommandError("it uses ${...} in a way that is not clear")
        self.at = found.end()
        operator = found.group()
        if operator == "@P}":
            self.facts.append(Doubt("${...@P} runs what is in a value"))
        if operator == ":":
            self.expression("}")
        if operator[0] == "@" or operator == ":":
            parts.add(Kind.UNKNOWN)
        else:
            self._default(name, operator, parts, quoted)

    def _default(self, name: str, operator: str, parts: Parts, quoted: bool) -> None:
        inner = Parts()
        while (char := self.peek()) != "}":
            self._parameter_part(char, inner, quoted)
        self.at += 1
        text = known_text(inner.pieces)
        if operator.endswith("="):
            self.facts.append(Set(name, text, fallback=True, array=True))
        kept = text if operator[-1] in "-=+" else None
        parts.add(Kind.VARIABLE, name, kept, changed=kept is None and operator[-1] != "?")

    def _parameter_part(self, char: str, parts: Parts, quoted: bool) -> None:
        self.meter.spend(1)
        following = self.text[self.at + 1 : self.at + 2]
        unclear = not char or char == "{" or self.follows("<(") or self.follows(">(")
        unclear = unclear or (char == "\\" and (not following or following in "\n{}'"))
        unclear = unclear or (char in "'\"" and quoted) or (char == "\n" and self.posix)
        unclear = unclear or (self.posix and char in "'\\<>()&|;")
        if unclear:
            raise UnclearCommandError("it uses ${...} in a way that is not clear")
        if plain := _TEXT_IN_PARAMETER.match(self.text, self.at):
            parts.add(Kind.PLAIN, plain.group())
            self.at = plain.end()
        elif quoted:
            self._quoted_part(char, parts, _TEXT_IN_PARAMETER)
        elif char in "\\'\"`$":
            self._part(char, parts)
        else:
            parts.add(Kind.PLAIN, char)
            self.at += 1

    def _backtick(self, parts: Parts, *, quoted: bool) -> None:
        parts.add(Kind.UNKNOWN)
        parts.splits = parts.splits or not quoted
        end = self.at + 1
        body: list[str] = []
        while (char := self.text[end : end + 1]) != "`":
            following = self.text[end + 1 : end + 2]
            if not char or (char == "\\" and (self.posix or following == '"')):
                raise UnclearCommandError("what stands between backticks is not clear")
            escaped = char == "\\" and following != "" and following in "$`\\"
            body.append(following if escaped else char)
            end += 2 if escaped else 1
        self.at = end + 1
        self.meter.spend(len(body))
        with self.deeper():
            self.backticks("".join(body))

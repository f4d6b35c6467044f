"""Reading plain words and commands: what comes again in a line is not read again."""

from __future__ import annotations

import re
from abc import abstractmethod

import msgspec

from sdqctl.policy.shell.facts import Fact
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.plain import (
    PLAIN_COMMAND,
    PLAIN_LOOP,
    PLAIN_MESSAGE,
    PLAIN_MESSAGE_END,
    PLAIN_SETTING,
    PLAIN_STEP,
    PLAIN_WORDS,
    SIMPLE_WORD,
    parts_of,
    words_of,
)
from sdqctl.policy.shell.tree import Assignment, Line, SimpleCommand, Step
from sdqctl.policy.shell.word import Kind, Piece, Word
from sdqctl.policy.shell.words import WordReader

RESERVED = frozenset(
    {"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "for", "select", "case"}
    | {"esac", "in", "function", "time", "coproc", "[[", "]]", "{", "}", "!"}
)
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[[^\]=]*\])?(\+?)=", re.ASCII)
_OUTPUT = (Piece(Kind.PLAIN), Piece(Kind.UNKNOWN))
_QUOTED_OUTPUT = (Piece(Kind.PLAIN), Piece(Kind.TEXT), Piece(Kind.UNKNOWN))


class HereDocument(msgspec.Struct, frozen=True, gc=False):
    """A here-document whose text has not come yet, and the command that it belongs to."""

    delimiter: str
    literal: bool
    tabs: bool
    facts: list[Fact]
    inner: list[Line]


class PlainReader(WordReader):
    """Takes plain words and commands out of the text whole."""

    def __init__(self, text: str, meter: Meter, *, depth: int = 0, posix: bool = False) -> None:
        super().__init__(text, meter, depth=depth, posix=posix)
        self.inner: list[Line] = []
        self.pending: list[HereDocument] = []
        self._words = _PlainWords(type(self), meter, posix=posix)
        self._commands: dict[str, SimpleCommand] = {}
        """Plain commands that were read before."""

    @abstractmethod
    def child(self, text: str) -> WordReader:
        """A reader of a text that belongs to this command."""

    def plain_command(self) -> SimpleCommand | None:
        """The command that begins here if it is plain, which one of the same text means alike."""
        found = None if self.pending else PLAIN_COMMAND.match(self.text, self.at)
        if found is None:
            return None
        text = found.group(1)
        command = self._commands.get(text) or self._new_command(text)
        if command is not None:
            self.meter.spend(1 + len(command.words) + len(command.redirections))
            self.at = found.end()
        return command

    def plain_step(self) -> tuple[SimpleCommand, str] | None:
        """The plain command that begins here, and the operator after it if a word follows that.

        The command may begin a here-document.
        """
        found = None if self.pending else PLAIN_STEP.match(self.text, self.at)
        if found is None:
            return None
        text, operator, quote, delimiter = found.groups("")
        command = self._commands.get(text) or self._new_command(text)
        if command is None:
            return None
        self.meter.spend(1 + len(command.words) + len(command.redirections))
        self.at = found.end()
        if delimiter:
            begun = HereDocument(delimiter, bool(quote), False, [], [])
            self.pending.append(begun)
            command = SimpleCommand(
                command.words, (), command.redirections, begun.inner, begun.facts, may_fail=True
            )
        return command, operator

    def plain_setting(self) -> SimpleCommand | None:
        """A variable that is set to what a plain command prints."""
        found = None if self.pending else PLAIN_SETTING.match(self.text, self.at)
        if found is None:
            return None
        name, raw, quote, text = found.groups()
        self.check_depth()
        self.depth += 1
        command = self._commands.get(text) or self._new_command(text)
        self.depth -= 1
        if command is None:
            return None
        self.meter.spend(4 + len(command.words) + len(command.redirections))
        self.at = found.end()
        pieces = _QUOTED_OUTPUT if quote else _OUTPUT
        value = Word(None, raw.replace("\\\n", ""), False, pieces)
        inner = [Line([Step([command], False, "")])]
        return SimpleCommand((), [Assignment(name, value)], inner=inner)

    def plain_message(self) -> SimpleCommand | None:
        """A plain command that is given what another makes of a here-document."""
        found = None if self.pending else PLAIN_MESSAGE.match(self.text, self.at)
        if found is None:
            return None
        outer_text, _, inner_text, delimiter = found.groups()
        last = self.text.find("\n" + delimiter, found.end() - 1) + 1
        end = PLAIN_MESSAGE_END.match(self.text, last + len(delimiter)) if last else None
        outer = self._commands.get(outer_text) or self._new_command(outer_text)
        reader = self._commands.get(inner_text) or self._new_command(inner_text)
        if end is None or outer is None or reader is None:
            return None
        self.check_depth()
        self.meter.spend(end.end() - self.at)
        self.at = end.end()
        raw = self.text[found.start(2) : self.at].rstrip(" \t").replace("\\\n", "")
        words = (*outer.words, Word(None, raw, pieces=_QUOTED_OUTPUT[1:]))
        reader = SimpleCommand(reader.words, (), reader.redirections, may_fail=True)
        return SimpleCommand(words, (), outer.redirections, [Line([Step([reader], False, ";")])])

    def plain_loop(self) -> Assignment | None:
        """What a `for` gives its variable, to the first command in it, if its words are plain."""
        found = None if self.pending else PLAIN_LOOP.match(self.text, self.at)
        if found is None:
            return None
        name, text = found.groups()
        words = self._known(words_of(text))
        self.meter.spend(2 + len(words))
        self.at = found.end()
        return Assignment(name, None, words, loop=True)

    def run_of_words(self, *, first: bool) -> tuple[Word, ...]:
        """Read the words up to the next one that is not plain.

        `first`: where a command begins, at which some words mean more; then there are none.
        """
        plain = None if self.pending else PLAIN_WORDS.match(self.text, self.at)
        if plain is None:
            return ()
        raws = words_of(plain.group())
        if first and (raws[0] in RESERVED or ASSIGNMENT.match(raws[0])):
            return ()
        self.meter.spend(len(raws))
        self.at = plain.end()
        return self._known(raws)

    def _new_command(self, text: str) -> SimpleCommand | None:
        raws, redirections = parts_of(text)
        if raws[0] in RESERVED or ("=" in raws[0] and ASSIGNMENT.match(raws[0])):
            return None
        command = SimpleCommand(self._known(raws), (), redirections, bare=not redirections)
        self._commands[text] = command
        return command

    def _known(self, raws: list[str]) -> tuple[Word, ...]:
        """The words that are written so."""
        return tuple(map(self._words.__getitem__, raws))


class _PlainWords(dict[str, Word]):
    """Plain words by how they are written; one is read when it is first asked for."""

    def __init__(self, reader: type[PlainReader], meter: Meter, *, posix: bool) -> None:
        super().__init__()
        self._reader = reader
        self._meter = meter
        self._posix = posix

    def __missing__(self, raw: str) -> Word:
        if SIMPLE_WORD.fullmatch(raw):
            word = Word(raw, raw)
        else:
            word = self._reader(raw, self._meter, posix=self._posix).word()
        self[raw] = word
        return word

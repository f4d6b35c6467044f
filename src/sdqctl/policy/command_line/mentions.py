"""The files that a command's words name, as far as a denial of files is concerned.

What a program opens else is not seen. A word that the shell expands stands for each thing that it
may become: its globs are looked up, its braces expanded, its variables replaced by what the line
gave them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from itertools import product
from typing import TypeVar

import msgspec

from sdqctl.policy.command_line.texts import names_in, sequence
from sdqctl.policy.paths import PathRefusal, PathRules
from sdqctl.policy.places import Links
from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.location import Place, Places, in_order
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.tree import Assignment
from sdqctl.policy.shell.word import LITERAL, Kind, Piece, Word

_SPECIAL = "*?[]{},"
_QUOTED = {ord(char): chr(0xF0000 + ord(char)) for char in _SPECIAL}
_UNQUOTED = {0xF0000 + ord(char): char for char in _SPECIAL}
_BRACES = re.compile(r"\{([^{}]*)\}")
_GLOB = re.compile(r"[*?\[]")
_VARIABLE, _KNOWN = Kind.VARIABLE, (*LITERAL, Kind.NUMBER)
"""Taken out of their Enum once, which Python 3.11 is slow to look into."""
_LONGEST = 4096
_MOST_VALUES = 16
_MOST_ROUNDS = 4
"""The value of one variable may be in that of another, and that in its own."""
_MOST_READINGS = 64
_MOST_NAMES = 3000
_T = TypeVar("_T")


class Mentions:
    """Finds denied files among the words of one line."""

    def __init__(self, paths: PathRules, meter: Meter) -> None:
        self._paths = paths
        self._meter = meter
        self._values: dict[str, list[str]] = {}
        self._harmless: dict[str | None, set[tuple[bool, str]]] = {}
        """Words that name no denied file, by folder: whether they are expanded, and their text."""
        self._harmless_yet: dict[str | None, set[tuple[bool, str]]] = {}
        """The same of words that hold variables, until a variable may hold something else."""
        self._passed: dict[Places, set[Word]] = {}
        """The words that named none in these places, just as long."""
        self._overfull: set[str] = set()
        """Variables that are given more values than are kept."""
        self._vague: set[str] = set()
        """Variables that are given what is known only when the shell runs."""
        self._grown: set[str] = set()
        """Variables that were given something new."""
        self._anything = False
        """Whether that may be any variable."""
        self._real: dict[str, str] = {}
        self._judged: dict[tuple[str, str], PathRefusal | None] = {}
        self._links: Links = {}
        self._listed: dict[str, frozenset[str]] = {}
        self._listings: dict[str, Sequence[str]] = {}
        self._looked = 0

    def note(self, assignment: Assignment) -> None:
        """A variable is given a value."""
        words = assignment.elements if assignment.value is None else (assignment.value,)
        kept = self._values.setdefault(assignment.name, [])
        before = ["", *kept] if assignment.appends else [""]
        if not words or any(map(self._is_vague, words)):
            self._note_vague(assignment.name)
        grows = assignment.appends or any(assignment.name in _variables(word) for word in words)
        for text in self._given(words):
            for value in (start + text for start in before):
                if grows and len(kept) >= _MOST_VALUES // 2:
                    self._note_vague(assignment.name)
                elif value and value not in kept:
                    self._keep(assignment.name, kept, value)

    def note_all(self, assignments: Sequence[Assignment]) -> None:
        """All that a line gives its variables, in whatever order and however often."""
        for _ in range(_MOST_ROUNDS):
            self._grown.clear()
            for assignment in assignments:
                self.note(assignment)
            if not self._grown:
                return
        for name in self._grown:  # as of `x=$x/a` in a loop
            self._note_vague(name)

    def _note_vague(self, name: str) -> None:
        if name not in self._vague:
            self._vague.add(name)
            self._grown.add(name)
            self._look_again()

    def note_anything(self) -> None:
        """Any variable may be given anything, by a text that only the shell knows."""
        self._anything = True
        self._look_again()

    def gives(self, name: str) -> bool:
        """Whether the line may give a variable a value."""
        return self._anything or name in self._values

    def _is_vague(self, word: Word) -> bool:
        """Whether a word may become more than what is known of it."""
        return word.text is None and any(map(self._is_unknown, word.pieces))

    def _is_unknown(self, piece: Piece) -> bool:
        if piece.kind in _KNOWN:
            return False
        if self._anything or piece.changed:
            return True
        known = piece.text in self._values or piece.text in ("PWD", "HOME")
        return piece.kind is not _VARIABLE or not known or piece.text in self._vague

    def _keep(self, name: str, kept: list[str], value: str) -> None:
        if len(kept) < _MOST_VALUES:
            kept.append(value)
            self._grown.add(name)
            self._look_again()
        elif name not in self._overfull:
            self._overfull.add(name)
            self._look_again()

    def _look_again(self) -> None:
        """A variable may hold something else now, and so may words that named no denied file."""
        self._harmless_yet.clear()
        self._passed.clear()

    def _given(self, words: Sequence[Word]) -> Iterator[str]:
        """What these words give a variable, as far as it is known."""
        for word in map(self._without_tilde, words):
            self._meter.spend(1)
            if word.text is not None:
                yield os.path.expanduser(word.text) if word.tilde else word.text
                continue
            if self._says_nothing(word):
                continue
            options = [self._options(piece, str(self._paths.root)) for piece in word.pieces]
            yield from ("".join(parts).translate(_UNQUOTED) for parts in self._product(options))

    def denied(self, words: Sequence[Word], places: Places) -> tuple[str, PathRefusal] | None:
        """The first name of a denied file, with its denial. Raises UnclearCommandError."""
        passed = self._passed.get(places)
        if passed is None:
            passed = self._passed[places] = set()
        elif passed.issuperset(words):
            return None
        for place in in_order(places):
            key_of_place = None if place is None else self._folder(place)
            harmless = self._harmless.setdefault(key_of_place, set())
            harmless_yet = self._harmless_yet.setdefault(key_of_place, set())
            for word in words:
                if word in passed:
                    continue
                key = word.text is None, word.raw  # in an assignment a glob is but a text
                if key in harmless or key in harmless_yet:
                    continue
                if word.text is None and self._says_nothing(word):
                    continue
                if found := self._denied_as(self._without_tilde(word), place):
                    return found
                if word.raw:
                    (harmless_yet if _varies(word) else harmless).add(key)
        passed.update(words)
        return None

    def _without_tilde(self, word: Word) -> Word:
        """A word whose `~` is HOME, where the line gives that a value, or no home at all."""
        if not word.tilde:
            return word
        first, *rest = word.pieces or (Piece(Kind.PLAIN, word.text or ""),)
        prefix, slash, below = first.text.partition("/")
        if prefix == "~" and self.gives("HOME"):
            start = Piece(Kind.VARIABLE, "HOME")
        elif prefix == "~+":
            start = Piece(Kind.VARIABLE, "PWD")
        elif prefix != "~" and os.path.expanduser(prefix) == prefix:  # `~-`, `~1`
            start = Piece(Kind.UNKNOWN)
        else:
            return word
        end = msgspec.structs.replace(first, text=slash + below)
        return Word(None, word.raw, pieces=(start, end, *rest))

    def _denied_as(self, word: Word, place: Place | None) -> tuple[str, PathRefusal] | None:
        """What a word names that is denied, from this folder."""
        folder, lost = self._folder(place), place is None
        texts = self._texts(word, folder) if word.text is None else (word.text,)
        for text in texts:
            for name in names_in(text, tilde=word.tilde or word.text is None):
                if found := self._denial(name, folder):
                    return name, found
                if lost and name[0] not in "/~" and (found := self._paths.denial_somewhere(name)):
                    return name, found
        if word.text is None and (found := self._denied_somewhere(word, lost=lost)):
            return word.raw, found
        return None

    def _denied_somewhere(self, word: Word, *, lost: bool) -> PathRefusal | None:
        """The denial of a file in a folder that is known only when the shell runs.

        `lost`: so is the one that relative paths begin in.
        """
        unknown = lost and not word.pieces[0].text.startswith("/")
        tail = "/" if unknown else ""
        for piece in word.pieces:
            if piece.kind in LITERAL:
                _, anywhere, end = piece.text.rpartition("**")
                unknown = unknown or bool(anywhere)
                tail = end if anywhere else tail + piece.text
                continue
            unknown = unknown or self._is_unknown(piece)
            tail = ""
        _, slash, below = tail.partition("/")
        return self._paths.denial_somewhere(below) if unknown and slash else None

    def _says_nothing(self, word: Word) -> bool:
        """Whether a word whose text is not known has no part that is."""
        for piece in word.pieces:
            if piece.kind is _VARIABLE:
                if piece.default or piece.text in self._values or piece.text in ("PWD", "HOME"):
                    return False
            elif piece.text or piece.default:
                return False
        return True

    def _folder(self, place: Place | None) -> str:
        if place is None:
            return str(self._paths.root)
        if place.folder not in self._real:
            self._real[place.folder] = os.path.realpath(place.folder)
        return self._real[place.folder]

    def _denial(self, name: str, folder: str) -> PathRefusal | None:
        if not self._paths.denies_paths and self._is_nothing(name, folder):
            return None
        if len(name) > _LONGEST or "\0" in name:
            return None
        key = (name, folder)
        if key not in self._judged:
            if len(self._judged) >= _MOST_NAMES:
                raise UnclearCommandError("it names more files than can be looked up")
            self._meter.spend(1 + name.count("/"))
            self._judged[key] = self._paths.named_denial(name, folder, self._links)
        return self._judged[key]

    def _is_nothing(self, name: str, folder: str) -> bool:
        """Whether a plain name is that of no file, so that it leads nowhere."""
        if "/" in name or name in (".", "..") or name.startswith("~"):
            return False
        if folder not in self._listed:
            self._listed[folder] = frozenset(each.casefold() for each in self._names_in(folder))
        return name.casefold() not in self._listed[folder]

    def _names_in(self, folder: str) -> Sequence[str]:
        if folder not in self._listings:
            self._listings[folder] = _listing(folder)
        return self._listings[folder]

    def _texts(self, word: Word, folder: str) -> Iterator[str]:
        """What a word may become whose text is not known."""
        options = [self._options(piece, folder) for piece in word.pieces]
        for parts in self._product(options):
            for text in self._bounded(self._without_braces("".join(parts))):
                if _GLOB.search(text):
                    yield from self._matches(text, folder)
                else:
                    yield text.translate(_UNQUOTED)

    def _product(self, options: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
        return self._bounded(product(*options))

    def _bounded(self, readings: Iterable[_T]) -> Iterator[_T]:
        """As many as are looked at. Raises UnclearCommandError for more, where files are denied."""
        for count, reading in enumerate(readings):
            if count == _MOST_READINGS:
                if self._paths.denies_paths:
                    raise UnclearCommandError("a word may mean more files than can be looked up")
                return
            yield reading

    def _without_braces(self, text: str) -> Iterator[str]:
        """What brace expansion makes of a text."""
        todo = [text]
        while todo:
            text = todo.pop()
            self._meter.spend(1 + len(text) // 100)
            found = _BRACES.search(text)
            if found is None:
                yield text
                continue
            parts = sequence(found.group(1)) or found.group(1).split(",")
            todo += [text[: found.start()] + part + text[found.end() :] for part in parts]

    def _options(self, piece: Piece, folder: str) -> list[str]:
        if piece.kind is Kind.TEXT:
            return [piece.text.translate(_QUOTED)]
        if piece.kind is Kind.PLAIN:
            return [piece.text]
        if piece.kind is not _VARIABLE:
            return [piece.default or ""]
        found = [""]
        if piece.text in ("PWD", "HOME"):
            found += [folder if piece.text == "PWD" else os.path.expanduser("~")]
        if piece.default is not None:
            found.append(piece.default)
        if piece.text in self._overfull and self._paths.denies_paths:
            raise UnclearCommandError(f"{piece.text} may hold more values than can be looked up")
        for value in self._values.get(piece.text, ()):
            found += [value, *self._bounded(value.split())]
        return list(dict.fromkeys(found))

    def _matches(self, pattern: str, folder: str) -> Iterator[str]:
        """The files that a glob means."""
        found = ["/" if pattern.startswith("/") else folder]
        for part in filter(None, pattern.split("/")):
            if not _GLOB.search(part):
                name = part.translate(_UNQUOTED)
                found = [os.path.join(path, os.path.expanduser(name)) for path in found]
                continue
            found = [os.path.join(path, name) for path in found for name in self._named(part, path)]
        yield from found

    def _named(self, pattern: str, folder: str) -> Iterator[str]:
        names = self._names_in(folder)
        if not names:
            return
        escaped = pattern.replace("[^", "[!")
        wanted = re.compile(translate(escaped).translate(_UNQUOTED_EXPRESSION), re.IGNORECASE)
        for name in names:
            self._looked += 1
            if self._looked > _MOST_NAMES:
                raise UnclearCommandError("it names more files than can be looked up")
            if wanted.match(name) and (pattern.startswith(".") or not name.startswith(".")):
                yield name


def _variables(word: Word) -> list[str]:
    return [piece.text for piece in word.pieces if piece.kind is _VARIABLE]


def _varies(word: Word) -> bool:
    """Whether a word holds variables, as `~` is one."""
    return word.tilde or bool(_variables(word))


_UNQUOTED_EXPRESSION = {code: re.escape(char) for code, char in _UNQUOTED.items()}


def _listing(folder: str) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()

"""Judging the files that a command line opens and names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sdqctl.model.tools import ToolKind
from sdqctl.policy.command_line.ahead import LookAhead
from sdqctl.policy.command_line.mentions import Mentions
from sdqctl.policy.command_line.texts import parts_of
from sdqctl.policy.command_line.verdict import RefusedError
from sdqctl.policy.paths import PathRules
from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.location import UNKNOWN, Place, Places, in_order
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.tree import Assignment, Line, Redirection
from sdqctl.policy.shell.word import Word

_STREAMS = re.compile(r"/dev/(null|stdin|stdout|stderr|fd/\d+)")
_MOST_REDIRECTIONS = 500


class Files:
    """The files of one line. `strict`: what is not known for certain is refused."""

    def __init__(self, paths: PathRules, meter: Meter, *, strict: bool) -> None:
        self._paths = paths
        self._strict = strict
        self._meter = meter
        self._names = Mentions(paths, meter)
        self._redirected = 0

    def note(self, assignment: Assignment) -> None:
        """A variable is given a value, which may name a file."""
        self._names.note(assignment)

    def look_ahead(self, line: Line, *, posix: bool) -> None:
        """Note what a line gives its variables: a loop or a function uses what comes later.

        `posix`: the shell that runs it may be dash or bash.
        """
        if not self._paths.denies_paths:
            return
        look = LookAhead(self._meter, posix=posix)
        self._names.note_all([*look.given(line)])
        if look.anything:
            self._names.note_anything()

    def gives(self, name: str) -> bool:
        """Whether the line may give a variable a value."""
        return self._names.gives(name)

    def may_enter(self, folder: str) -> bool:
        """Whether a `cd` to this folder is allowed."""
        return self._paths.refusal(ToolKind.READ, folder) is None

    def may_read(self, names: Sequence[str], places: Places) -> bool:
        """Whether a program may read these files, wherever the line is."""
        known = None not in places or all(name.startswith("/") for name in names)
        return known and not any(
            self._paths.refusal(ToolKind.READ, literal(name), folder_of(place))
            for name in names
            for place in places
        )

    def mentions(self, words: Sequence[Word], places: Places, *, lines: bool = False) -> None:
        """Refuse words that name a denied file. Raises RefusedError.

        `lines`: the words may be run as lines, so that what stands in them counts.
        """
        found = self._names.denied(words, places)
        if found is None and lines and self._paths.denies_paths:
            parts = [part for word in words for part in parts_of(word)]
            found = self._names.denied(parts, UNKNOWN)  # they may hold a `cd` as well
        if found is not None:
            name, refusal = found
            raise RefusedError(f"it names {name}, and {refusal.why}", by=refusal.by)

    def redirections(self, redirections: Iterable[Redirection], places: Places) -> None:
        """Refuse files that may not be opened. Raises RefusedError and UnclearCommandError."""
        for redirection in redirections:
            self._redirected += 1
            if self._redirected > _MOST_REDIRECTIONS:
                raise UnclearCommandError("it opens too many files")
            self._redirection(redirection, places)

    def _redirection(self, redirection: Redirection, places: Places) -> None:
        kind = ToolKind.READ if redirection.reads else ToolKind.WRITE
        word, verb = redirection.target, "reads" if redirection.reads else "writes"
        elsewhere = word.tilde and (
            self._names.gives("HOME") or os.path.expanduser(word.text or "") == word.text
        )
        if word.text is None or elsewhere:
            self.mentions([word], places)
            self._unknown(f"which file it {verb} is known only when the shell runs; write its name")
            return
        if _STREAMS.fullmatch(word.text):
            return
        text = os.path.expanduser(word.text) if word.tilde else word.text
        for place in in_order(places):
            lost = place is None and not text.startswith("/")
            if lost and self._strict:
                raise RefusedError(f"it {verb} {text} in a folder that is known only then")
            if lost and not self._paths.denies_paths:
                continue
            found = self._paths.refusal(kind, literal(text), folder_of(place))
            if lost and found is None:
                found = self._paths.denial_somewhere(text)
            if found is not None:
                why = f"it {verb} {text}, and {found.why}"
                raise RefusedError(why, found.rule, found.by)

    def _unknown(self, why: str) -> None:
        """What is known only when the shell runs is left to a shell that may do anything."""
        if self._strict or self._paths.denies_paths:
            raise RefusedError(why)


def folder_of(place: Place | None) -> Path | None:
    """The folder that relative paths begin in, None for the working directory."""
    return None if place is None else Path(os.path.realpath(place.folder))


def literal(text: str) -> str:
    """A path that begins with a quoted `~` is no one's home."""
    return f"./{text}" if text.startswith("~") else text

"""Which files tools may read and write: folders, the workflow's file rules, the user's rules.

Paths are judged where they lead to after links and `..` are resolved, in each way that a program
may resolve them. A deny rule also counts for the path as it is written, and without regard to case,
since some file systems have none.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from sdqctl.foreign import leads_out
from sdqctl.model.tools import ToolKind
from sdqctl.model.workflow import FileRule
from sdqctl.policy.globs import (
    allowing,
    denying,
    escaped,
    folded,
    has_wildcard,
    matches_any,
)
from sdqctl.policy.places import Links, Place, readings
from sdqctl.policy.rules import ToolRule
from sdqctl.policy.steering import Steering

_RANDOM = r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})"
_OWN_OUTPUT = re.compile(
    rf"\d+-[a-z]+-tool-output-(?:\d+-)?{_RANDOM}\.txt"
    rf"|(?:[a-z]+-tool-output(?:-original)?|original-output)-\d+-{_RANDOM}\.txt"
)
"""Where a runtime puts a tool's output that is too long for the model, under a name that only the
session was told (seen in the pinned runtime: of bash with its process's id, of other tools without,
and in its own pattern for such names the others)."""
_OWN_NUMBERED_OUTPUT = re.compile(
    r"(?:[a-z]+-tool-output(?:-original)?|original-output)-\d+-\d+\.txt"
)
"""The same under a name that could be guessed."""
_STARTED = time.time()
_ALL = (re.compile(""),)
ALLOW_ALL = "--allow-all-tools"
_OURS = "sdqctl"


@dataclass(frozen=True)
class PathVerdict:
    """What is decided on a path, and by what. `rules` would allow it; none: nothing would."""

    allowed: bool
    by: str
    why: str = "allowed"
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class PathRefusal:
    """Why a path is refused. `rule` would allow it; None: nothing would."""

    why: str
    rule: str | None = None
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class PathRules:
    """Judges paths. `anywhere`: all tools are allowed, so only denials and bounds count."""

    cwd: Path
    writing: bool
    anywhere: bool = False
    allow: tuple[ToolRule, ...] = ()
    deny: tuple[ToolRule, ...] = ()
    file_rules: tuple[FileRule, ...] = ()
    protected: tuple[Path, ...] = ()
    """Folders that no tool may write: sdqctl's data and the runtime's."""
    own: Path | None = None
    """A folder within a protected one that is not: the session's own work tree."""
    steering: tuple[str, ...] = ()
    """Globs of files that only a rule which names them opens for writing, besides the general."""
    by_mode: str = "the mode"
    """What decides where no rule does."""

    @cached_property
    def root(self) -> Path:
        """The working directory after links are resolved."""
        return Path(os.path.realpath(self.cwd))

    @cached_property
    def denies_paths(self) -> bool:
        """Whether any rule forbids a path by its name."""
        named = any(rule.pattern is not None for rule in self.deny if _is_path_rule(rule))
        return named or bool(self._file_patterns_denied)

    def evaluate(self, kind: ToolKind, text: str, base: Path | None = None) -> PathVerdict:
        """Whether a path may be read or written. Raises ValueError for what is no path.

        `base` is the folder that a relative one starts in, the working directory by default.
        """
        places = readings(text, str(base or self.root), str(self.root))
        for place in places:
            if found := self._denial(kind, place):
                return PathVerdict(False, found.by, found.why)
        verdicts = [self._judge_place(kind, place) for place in places]
        refused = [verdict for verdict in verdicts if not verdict.allowed]
        if not refused:
            return verdicts[0]
        rules = tuple(dict.fromkeys(rule for verdict in refused for rule in verdict.rules))
        liftable = all(verdict.rules for verdict in refused)
        return PathVerdict(False, refused[0].by, refused[0].why, rules if liftable else ())

    def refusal(self, kind: ToolKind, text: str, base: Path | None = None) -> PathRefusal | None:
        """Why a path may not be read or written; None: it may. Raises ValueError as `judge`."""
        verdict = self.evaluate(kind, text, base)
        if verdict.allowed:
            return None
        return PathRefusal(verdict.why, next(iter(verdict.rules), None), verdict.by)

    def named_denial(self, text: str, base: str, links: Links) -> PathRefusal | None:
        """The denial of a path that a command's words name."""
        for place in readings(text, base, str(self.root), links):
            for kind in (ToolKind.READ, ToolKind.WRITE):
                if found := self._denial(kind, place):
                    return found
        return None

    def denial_somewhere(self, tail: str) -> PathRefusal | None:
        """The denial of a path that may mean a denied file, by how it ends."""
        names = folded(tail).split("/")
        for last, by, why in self._names_denied:
            if any(fnmatch(name, last) or _may_become(name, last) for name in names):
                return PathRefusal(f"{why}, if it means that file", by=by)
        return None

    @cached_property
    def _names_denied(self) -> tuple[tuple[str, str, str], ...]:
        """The last names of denied paths that lie in a folder, with what denies them and how."""
        files = [
            (rule.pattern, _directive(rule), "the workflow denies it")
            for rule in self.file_rules
            if not rule.allow
        ]
        rules = [
            (rule.pattern, rule.text, f"the rule {rule.text} denies it")
            for rule in self.deny
            if _is_path_rule(rule) and rule.pattern
        ]
        named = ((folded(text).split("/"), by, why) for text, by, why in (*files, *rules))
        lasts = (([part for part in parts if part.strip("*")], by, why) for parts, by, why in named)
        return tuple((parts[-1], by, why) for parts, by, why in lasts if parts and parts[-1])

    def _denial(self, kind: ToolKind, place: Place) -> PathRefusal | None:
        """The denial that a rule or the protection of a folder has for a path."""
        if kind is ToolKind.WRITE and any(map(self._is_protected, place.paths)):
            return PathRefusal("it belongs to sdqctl or to the runtime", by=_OURS)
        for rule, patterns in self._file_patterns_denied:
            if matches_any(patterns, place.paths):
                return PathRefusal("the workflow denies it", by=_directive(rule))
        for denied, patterns in self._rules_denied:
            if denied.kind is kind and matches_any(patterns, place.paths):
                return PathRefusal(f"the rule {denied.text} denies it", by=denied.text)
        if self.denies_paths and not place.guessed:
            return PathRefusal("where it leads to is known only to the program", by=self.by_mode)
        return None

    def _judge_place(self, kind: ToolKind, place: Place) -> PathVerdict:
        real = Path(place.real)
        if not self._is_in_bounds(place.real):
            why = "the workflow's ALLOW-FILES leave it out"
            return PathVerdict(False, "ALLOW-FILES", why)
        if self.anywhere:
            return PathVerdict(True, ALLOW_ALL)
        if not place.certain:
            why = "where it leads to is known only to the program"
            return PathVerdict(False, self.by_mode, why)
        special = self._special(place) if kind is ToolKind.WRITE else None
        for rule in self.allow:
            if self._allows(rule, kind, place.real, special):
                return PathVerdict(True, rule.text)
        if not self._is_reachable(real) and not (kind is ToolKind.READ and _is_own_output(real)):
            why = f"it lies outside the working directory {self.root}"
            return PathVerdict(False, self.by_mode, why, (f"{kind}({escaped(place.real)})",))
        if kind is ToolKind.READ:
            return PathVerdict(True, self.by_mode)
        return self._judge_writing(real, special)

    def _judge_writing(self, real: Path, special: str | None) -> PathVerdict:
        """Writing below a folder of the run, which no rule allows by the file's name."""
        rule = (self._write_rule(real),)
        everywhere = any(r.kind is ToolKind.WRITE and r.pattern is None for r in self.allow)
        if not self.writing and not everywhere:
            return PathVerdict(False, self.by_mode, "nothing may be written in this run", rule)
        if special is not None:
            return PathVerdict(False, _OURS, special, rule)
        return PathVerdict(True, self.by_mode)

    def _special(self, place: Place) -> str | None:
        """Why a file is written only when a rule names it."""
        if found := self._steers(place.paths):
            return f"{found} steers other programs"
        if _has_other_names(place.real):
            return "the file has a second name (a hard link), maybe outside"
        return None

    def _steers(self, paths: Iterable[str]) -> str | None:
        found = (self._steering.found(self._below(path)) for path in paths)
        return next((one for one in found if one), None)

    def _below(self, path: str) -> str:
        """A path without the folder of the run that it lies in."""
        holding = [f for f in self._folders if Path(path).is_relative_to(f)]
        nearest = max(holding, key=lambda folder: len(folder.parts), default=None)
        return path if nearest is None else str(Path(path).relative_to(nearest))

    def _write_rule(self, real: Path) -> str:
        inside = real.is_relative_to(self.root) and real != self.root
        return f"write({escaped(str(real.relative_to(self.root) if inside else real))})"

    def _is_protected(self, path: str) -> bool:
        place = f"{folded(path)}/"
        if self.own is not None and place.startswith(f"{folded(str(self.own)).rstrip('/')}/"):
            return False
        return any(place.startswith(folder) for folder in self._protected)

    def _is_reachable(self, real: Path) -> bool:
        return any(real.is_relative_to(folder) for folder in self._folders)

    def _is_in_bounds(self, real: str) -> bool:
        if not self._bounds or self._names_it(real):
            return True
        return any(pattern.match(real) for pattern in self._bounds)

    def _names_it(self, real: str) -> bool:
        """Whether the user's own rule names the path, which goes before the workflow's bounds."""
        return any(
            rule.pattern is not None and self._pattern_of(rule).match(real)
            for rule in self.allow
            if _is_path_rule(rule)
        )

    def _allows(self, rule: ToolRule, kind: ToolKind, real: str, special: str | None) -> bool:
        if rule.kind is not kind:
            return False
        if rule.pattern is None:
            return special is None and self._is_reachable(Path(real))
        if not self._pattern_of(rule).match(real):
            return False
        return special is None or self._names_exactly(rule, real)

    def _names_exactly(self, rule: ToolRule, real: str) -> bool:
        """Whether a rule's own words mean a special file, not only a wildcard or a folder."""
        pattern = os.path.normpath(os.path.expanduser(rule.pattern or ""))
        if self._steering.named(self._below(pattern)):
            return True
        one = not has_wildcard(pattern) and self._pattern_of(rule)
        return bool(one and not one.match(os.path.dirname(real)))

    def _pattern_of(self, rule: ToolRule) -> re.Pattern[str]:
        return self._patterns_allowed[rule]

    @cached_property
    def _patterns_allowed(self) -> dict[ToolRule, re.Pattern[str]]:
        return {
            rule: allowing(rule.pattern, str(self.root))
            for rule in self.allow
            if _is_path_rule(rule) and rule.pattern is not None
        }

    @cached_property
    def _steering(self) -> Steering:
        return Steering(self.steering)

    @cached_property
    def _protected(self) -> tuple[str, ...]:
        return tuple(f"{folded(str(folder)).rstrip('/')}/" for folder in self.protected)

    @cached_property
    def _folders(self) -> tuple[Path, ...]:
        more = (r.pattern for r in self.file_rules if r.allow and r.directory)
        opened = (os.path.join(self.root, os.path.expanduser(text)) for text in more)
        kept = (each for each in opened if not leads_out(each, (str(self.root),)))
        return (self.root, *(Path(os.path.realpath(folder)) for folder in kept))

    @cached_property
    def _bounds(self) -> tuple[re.Pattern[str], ...]:
        wanted = (r.pattern for r in self.file_rules if r.allow and not r.directory)
        return tuple(allowing(text, str(self.root)) for text in wanted)

    @cached_property
    def _file_patterns_denied(self) -> tuple[tuple[FileRule, tuple[re.Pattern[str], ...]], ...]:
        return tuple(
            (rule, denying(rule.pattern, base, deep=not rule.directory))
            for rule in self.file_rules
            if not rule.allow
            for base in {str(self.root), os.path.dirname(os.path.realpath(rule.span.file))}
        )

    @cached_property
    def _rules_denied(self) -> tuple[tuple[ToolRule, tuple[re.Pattern[str], ...]], ...]:
        return tuple(
            (rule, denying(rule.pattern, str(self.root)) if rule.pattern else _ALL)
            for rule in self.deny
            if _is_path_rule(rule)
        )


def _is_path_rule(rule: ToolRule) -> bool:
    return rule.kind in (ToolKind.READ, ToolKind.WRITE)


def _may_become(glob: str, name: str) -> bool:
    """Whether a glob that says something of a name means this one."""
    return bool(glob.strip("*?")) and fnmatch(name, glob.replace("[^", "[!"))


def _directive(rule: FileRule) -> str:
    """A workflow's rule as it stands there."""
    verb = "ALLOW" if rule.allow else "DENY"
    return f"{verb}-{'DIR' if rule.directory else 'FILES'} {rule.pattern}"


def _has_other_names(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _is_own_output(real: Path) -> bool:
    """Whether the runtime wrote a tool's output there, as far as its name and its file tell."""
    if str(real.parent) not in {os.path.realpath(f) for f in (tempfile.gettempdir(), "/tmp")}:
        return False
    numbered = bool(_OWN_NUMBERED_OUTPUT.fullmatch(real.name))
    if not numbered and not _OWN_OUTPUT.fullmatch(real.name):
        return False
    try:
        found = os.lstat(real)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
    return own and (not numbered or found.st_mtime >= _STARTED)

"""Which files tools may read and write: folders, the workflow's file rules, the user's rules.

Paths are judged where they lead to after links and `..` are resolved. A deny rule also counts for
the path as it is written, and without regard to case, since some file systems have none.
"""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sdqctl.model.tools import ToolKind
from sdqctl.model.workflow import FileRule
from sdqctl.policy.rules import ToolRule

_GLOB = re.compile(r"[*?\[]")
_OWN_OUTPUT = re.compile(r"\d+-copilot-tool-output-\d+-[0-9a-f-]{36}\.txt")
"""Where the runtime puts a tool's output that is too long for the model."""
_GUARDED = (".git", "sdqctl.toml")
"""In the working directory these steer other programs, so a tool needs a rule that names them."""


_ALL = (re.compile(""),)
_PROCESS_FOLDER = Path("/proc")
"""Its links lead elsewhere for every process, so they are not followed here."""


@dataclass(frozen=True)
class PathRefusal:
    """Why a path is refused. `rule` would allow it; None: nothing would."""

    why: str
    rule: str | None = None


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

    @cached_property
    def root(self) -> Path:
        """The working directory after links are resolved."""
        return Path(os.path.realpath(self.cwd))

    @cached_property
    def denies_paths(self) -> bool:
        """Whether any rule forbids a path by its name."""
        named = any(rule.pattern is not None for rule in self.deny if _is_path_rule(rule))
        return named or bool(self._file_patterns_denied)

    def refusal(self, kind: ToolKind, text: str, base: Path | None = None) -> PathRefusal | None:
        """Why a path may not be read or written; None: it may. Raises ValueError for a NUL."""
        path = self._absolute(text, base)
        real = _real(path)
        if found := self.denial(kind, path, real):
            return found
        if not self._is_in_bounds(real):
            return PathRefusal("the workflow's ALLOW-FILES leave it out")
        if self.anywhere or any(self._allows(rule, kind, real) for rule in self.allow):
            return None
        if not self._is_reachable(real) and not (kind is ToolKind.READ and _is_own_output(real)):
            why = f"it lies outside the working directory {self.root}"
            return PathRefusal(why, f"{kind}({real})")
        if kind is ToolKind.READ:
            return None
        if not self.writing:
            return PathRefusal("nothing may be written in this run", self._write_rule(real))
        if guarded := next((part for part in _GUARDED if part in self._parts(real)), None):
            return PathRefusal(f"{guarded} steers other programs", self._write_rule(real))
        return None

    def denial(self, kind: ToolKind, path: Path, real: Path) -> PathRefusal | None:
        """The denial that a rule or the protection of a folder has for a path."""
        if kind is ToolKind.WRITE and any(real.is_relative_to(p) for p in self.protected):
            return PathRefusal("it belongs to sdqctl or to the runtime")
        places = {str(path), str(real), os.path.join(os.path.realpath(path.parent), path.name)}
        for pattern in self._file_patterns_denied:
            if any(pattern.match(place) for place in places):
                return PathRefusal("the workflow denies it")
        for rule, patterns in self._rules_denied:
            if rule.kind is kind and any(p.match(place) for p in patterns for place in places):
                return PathRefusal(f"the rule {rule.text} denies it")
        return None

    def named_denial(self, text: str, base: Path) -> PathRefusal | None:
        """The denial of a path that a command's words name."""
        path = self._absolute(text, base)
        real = _real(path)
        return self.denial(ToolKind.READ, path, real) or self.denial(ToolKind.WRITE, path, real)

    def _absolute(self, text: str, base: Path | None) -> Path:
        return Path(os.path.normpath((base or self.root) / os.path.expanduser(text)))

    def _parts(self, real: Path) -> Sequence[str]:
        return real.relative_to(self.root).parts if real.is_relative_to(self.root) else real.parts

    def _write_rule(self, real: Path) -> str:
        inside = real.is_relative_to(self.root)
        return f"write({real.relative_to(self.root) if inside else real})"

    def _is_reachable(self, real: Path) -> bool:
        return any(real.is_relative_to(folder) for folder in self._folders)

    def _is_in_bounds(self, real: Path) -> bool:
        if not self._bounds or self._names_it(real):
            return True
        return any(pattern.match(str(real)) for pattern in self._bounds)

    def _names_it(self, real: Path) -> bool:
        """Whether the user's own rule names the path, which goes before the workflow's bounds."""
        return any(
            rule.pattern is not None and self._allows(rule, kind, real)
            for rule in self.allow
            for kind in (ToolKind.READ, ToolKind.WRITE)
        )

    def _allows(self, rule: ToolRule, kind: ToolKind, real: Path) -> bool:
        if rule.kind is not kind:
            return False
        if rule.pattern is None:
            return self._is_reachable(real) and not set(_GUARDED) & set(self._parts(real))
        return any(pattern.match(str(real)) for pattern in self._patterns(rule.pattern))

    @cached_property
    def _folders(self) -> tuple[Path, ...]:
        more = (r.pattern for r in self.file_rules if r.allow and r.directory)
        return (self.root, *(Path(os.path.realpath(self._absolute(text, None))) for text in more))

    @cached_property
    def _bounds(self) -> tuple[re.Pattern[str], ...]:
        wanted = (r.pattern for r in self.file_rules if r.allow and not r.directory)
        return tuple(p for text in wanted for p in self._patterns(text))

    @cached_property
    def _file_patterns_denied(self) -> tuple[re.Pattern[str], ...]:
        return tuple(
            pattern
            for rule in self.file_rules
            if not rule.allow
            for base in {self.root, Path(os.path.realpath(rule.span.file)).parent}
            for pattern in self._patterns(
                rule.pattern, base, ignore_case=True, deep=not rule.directory
            )
        )

    @cached_property
    def _rules_denied(self) -> tuple[tuple[ToolRule, Sequence[re.Pattern[str]]], ...]:
        return tuple(
            (rule, tuple(self._patterns(rule.pattern, ignore_case=True)) if rule.pattern else _ALL)
            for rule in self.deny
            if _is_path_rule(rule)
        )

    def _patterns(
        self, text: str, base: Path | None = None, *, ignore_case: bool = False, deep: bool = True
    ) -> Iterable[re.Pattern[str]]:
        """A path or glob as expressions over absolute paths; each means what lies below, too.

        `deep`: one without a slash means the name at any depth.
        """
        anchor = glob.escape(str(base or self.root))
        text = os.path.expanduser(text)
        if deep and "/" not in text.rstrip("/"):
            text = f"**/{text}"
        absolute = os.path.normpath(os.path.join(anchor, text))
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        for pattern in {absolute, _with_real_folder(absolute)}:
            yield _compiled(pattern, flags)


def _real(path: Path) -> Path:
    return path if path.is_relative_to(_PROCESS_FOLDER) else Path(os.path.realpath(path))


def _is_path_rule(rule: ToolRule) -> bool:
    return rule.kind in (ToolKind.READ, ToolKind.WRITE)


def _is_own_output(real: Path) -> bool:
    folder = Path(os.path.realpath(tempfile.gettempdir()))
    return real.parent == folder and bool(_OWN_OUTPUT.fullmatch(real.name))


def _with_real_folder(pattern: str) -> str:
    """The pattern with the links in front of its first wildcard resolved."""
    parts = pattern.split("/")
    plain = next((i for i, part in enumerate(parts) if _is_glob(part)), len(parts))
    folder = os.path.realpath("/".join(map(_unescaped, parts[:plain])) or "/")
    return os.path.join(glob.escape(folder), *parts[plain:])


def _is_glob(part: str) -> bool:
    return bool(_GLOB.search(re.sub(r"\[[*?\[]\]", "", part)))


def _unescaped(part: str) -> str:
    return re.sub(r"\[([*?\[])\]", r"\1", part)


def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """A glob over absolute paths; a broken one stands for itself."""
    try:
        return re.compile(f"{_expression(pattern)}(?:/.*)?\\Z", flags)
    except re.error:
        return re.compile(f"{re.escape(_unescaped(pattern))}(?:/.*)?\\Z", flags)


def _expression(pattern: str) -> str:
    """A glob as a regular expression in which `*` stays within a folder and `**` does not."""
    found: list[str] = []
    for part in pattern.strip("/").split("/"):
        deep = "(?:/[^/]+)*"
        if part != "**":
            found.append("/" + _part_expression(part))
        elif found[-1:] != [deep]:
            found.append(deep)
    return "".join(found) if pattern.strip("/") else ""


def _part_expression(part: str) -> str:
    found: list[str] = []
    index = 0
    while index < len(part):
        char = part[index]
        end = part.find("]", index + 2) if char == "[" else -1
        if char == "*":
            found.append("[^/]*")
        elif char == "?":
            found.append("[^/]")
        elif end > 0:
            inner = part[index + 1 : end].replace("\\", "\\\\")
            negated = inner.startswith(("!", "^"))
            body = re.sub(r"([\[\]^&~|])", r"\\\1", inner[1:] if negated else inner)
            found.append(f"[^/{body}]" if negated else f"[{body}]")
            index = end
        else:
            found.append(re.escape(char))
        index += 1
    return "".join(found)

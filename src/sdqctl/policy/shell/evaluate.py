"""Judging a command line: every program it runs, every variable it sets, every file it opens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.model.tools import ToolKind
from sdqctl.policy.paths import PathRules
from sdqctl.policy.rules import ToolRule
from sdqctl.policy.shell.grammar import Redirection
from sdqctl.policy.shell.words import UnclearCommandError, Word
from sdqctl.policy.shell.wrappers import Program, programs_of

_STREAMS = re.compile(r"/dev/(null|stdin|stdout|stderr|fd/\d+)")
_HARMLESS_VARIABLES = re.compile(
    r"LANG|LC_[A-Z]+|TZ|CI|NO_COLOR|FORCE_COLOR|CLICOLOR|COLUMNS|LINES|NODE_ENV|RUST_BACKTRACE"
    r"|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE"
)
_LOCAL_VARIABLE = re.compile(r"(?!npm_)(?![a-z_]*proxy)[a-z][a-z0-9_]*")
_MOVERS = frozenset({"cd", "pushd", "chdir"})
_UNKNOWN = "which program it runs is known only when the shell runs"
_PATH_SEPARATORS = re.compile(r"[=:,@]")


@dataclass(frozen=True)
class ShellVerdict:
    """What is decided on a command line. `rule` would allow what is refused, None: nothing would.

    `by` is the rule, as it is written, that allowed or denied; the first one where several allowed
    parts of the line. Empty where no rule decided: then the mode did, or the line is not clear.
    """

    allowed: bool
    why: str
    by: str = ""
    rule: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a command is refused. `rule` would allow it."""

    why: str
    rule: str | None = None


@dataclass(frozen=True, kw_only=True)
class ShellRules:
    """What a shell may run. `whole`: any command, but for the denied ones."""

    whole: bool
    allow: tuple[ToolRule, ...]
    deny: tuple[ToolRule, ...]
    paths: PathRules

    def judge(self, line: str) -> ShellVerdict:
        """Whether a command line may run, and what decided it."""
        refusal = self.refusal(line)
        if refusal is not None:
            return ShellVerdict(False, refusal.why, "", refusal.rule)
        return ShellVerdict(True, "allowed")

    def refusal(self, line: str) -> Refusal | None:
        """Why a command line may not run; None: it may."""
        try:
            programs, evaluates = programs_of(line)
        except UnclearCommandError as error:
            return Refusal(f"it cannot be judged: {error}; use plain commands")
        return _Judge(self, evaluates).refusal(programs)


@dataclass
class _Judge:
    """One line's judging. `folders` are those it may be in; None among them: not known."""

    rules: ShellRules
    evaluates: bool
    folders: list[Path | None] = field(default_factory=list)

    def refusal(self, programs: list[Program]) -> Refusal | None:
        self.folders.append(self.rules.paths.root)
        for program in programs:
            found = self._program(program)
            if found is not None:
                return found
            self._move(program.words)
        return None

    def _program(self, program: Program) -> Refusal | None:
        if found := self._denied(program):
            return found
        if not self.rules.whole and (found := self._not_allowed(program)):
            return found
        for redirection in program.redirections:
            if found := self._redirection(redirection):
                return found
        return self._named_paths(program.words)

    def _denied(self, program: Program) -> Refusal | None:
        if not program.words:
            return None
        for rule in self.rules.deny:
            if program.words[0].text is None and rule.pattern is not None:
                return Refusal(f"{_UNKNOWN}; it might be what the rule {rule.text} denies")
            if rule.denies_command(program.words):
                return Refusal(f"the rule {rule.text} denies it")
            if unknown := program.unclear or program.opaque:
                return Refusal(f"{unknown}, which might be what the rule {rule.text} denies")
        return None

    def _not_allowed(self, program: Program) -> Refusal | None:
        for name in program.assignments:
            if not self._is_harmless(name, alone=not program.words):
                return Refusal(f"setting {name} could make a program run others", "shell")
        if program.unclear:
            return Refusal(f"it cannot be judged: {program.unclear}; use plain commands")
        if not program.words or program.transparent:
            return None
        called = program.words[0].text
        if called is None:
            return Refusal(f"{_UNKNOWN}; write the program's name")
        if called in _MOVERS and self._stays_inside(program.words):
            return None
        moved = len(self.folders) > 1 and "/" in called and not called.startswith("/")
        if not moved and any(rule.allows_command(program.words) for rule in self.rules.allow):
            return None
        return Refusal(f"the program {called} is not allowed", f"shell({called}:*)")

    def _is_harmless(self, name: str, *, alone: bool) -> bool:
        if _HARMLESS_VARIABLES.fullmatch(name):
            return True
        return alone and not self.evaluates and bool(_LOCAL_VARIABLE.fullmatch(name))

    def _redirection(self, redirection: Redirection) -> Refusal | None:
        kind = ToolKind.READ if redirection.reads else ToolKind.WRITE
        word = redirection.target
        verb = "reads" if redirection.reads else "writes"
        if word.text is None or (word.tilde and not _is_home(word.text)):
            return self._unknown(
                f"which file it {verb} is known only when the shell runs; write its name"
            )
        if _STREAMS.fullmatch(word.text):
            return None
        text = os.path.expanduser(word.text) if word.tilde else word.text
        for folder in self.folders:
            if folder is None and not text.startswith("/"):
                if unknown := self._unknown(f"it {verb} {text} in a folder known only then"):
                    return unknown
            elif found := self.rules.paths.refusal(kind, _literal(text), folder):
                return Refusal(f"it {verb} {text}, and {found.why}", found.rule)
        return None

    def _unknown(self, why: str) -> Refusal | None:
        """What is known only when the shell runs is left to a shell that may do anything."""
        if self.rules.whole and not self.rules.paths.denies_paths:
            return None
        return Refusal(why)

    def _named_paths(self, words: tuple[Word, ...]) -> Refusal | None:
        """Refuse words that name a denied path; what a program opens else is not seen."""
        for text in _path_texts(words[1:]):
            for folder in self.folders:
                if found := self.rules.paths.named_denial(text, folder or self.rules.paths.root):
                    return Refusal(f"it names {text}, and {found.why}")
        return None

    def _stays_inside(self, words: tuple[Word, ...]) -> bool:
        """Whether a change of folder leads where reading is allowed, wherever it starts."""
        text = _destination(words)
        if text is None or None in self.folders:
            return False
        paths = self.rules.paths
        return all(paths.refusal(ToolKind.READ, text, folder) is None for folder in self.folders)

    def _move(self, words: tuple[Word, ...]) -> None:
        """Note where the following commands may be: there, or still here when it fails."""
        if not words or words[0].text not in _MOVERS:
            return
        text = _destination(words)
        if text is None:
            self.folders.append(None)
            return
        for folder in list(self.folders):
            if folder is not None or text.startswith("/"):
                self._add((folder or Path("/")) / text)
            else:
                self._add(None)

    def _add(self, folder: Path | None) -> None:
        real = None if folder is None else Path(os.path.realpath(folder))
        if len(self.folders) >= 50:
            real = None
        if real not in self.folders:
            self.folders.append(real)


def _destination(words: tuple[Word, ...]) -> str | None:
    """Where a `cd` leads, None when only the shell knows."""
    targets = [word for word in words[1:] if not (word.text or "").startswith("-")]
    target = targets[0] if targets else Word("~", "~", tilde=True)
    if target.text is None or len(targets) != len(words) - 1 or len(targets) > 1:
        return None
    return os.path.expanduser(target.text) if target.tilde else _literal(target.text)


def _path_texts(words: tuple[Word, ...]) -> Iterator[str]:
    for word in words:
        if not word.text or "\0" in word.text:
            continue
        yield word.text if word.tilde else _literal(word.text)
        for part in _PATH_SEPARATORS.split(word.text)[1:]:
            if part:
                yield part


def _literal(text: str) -> str:
    """A path that begins with a quoted `~` is no one's home."""
    return f"./{text}" if text.startswith("~") else text


def _is_home(text: str) -> bool:
    """Whether `~...` is a home folder that is known here."""
    return os.path.expanduser(text) != text

"""Judging made lines, and running what is allowed: no other program may run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.policy.policy import Policy, build_policy
from tests.fuzz.lines import Lines
from tests.fuzz.parsers import refused_by_all
from tests.fuzz.shells import VALUES, Seen, Shells

_BUILTINS = "printf test [ read let unset export declare local set mapfile getopts wait"
_MISSING = "time ionice busybox ash git al egrep fgrep expand unexpand"
"""Wrappers and filters that may run and are not there."""
_READS_ITS_INPUT = re.compile(r"\b(?:ba|da)?sh\b(?!\s+-c)")


@dataclass(frozen=True)
class Kind:
    """A policy, and which programs may run under it. `denied`: all but these."""

    name: str
    allow: tuple[str, ...]
    deny: tuple[str, ...] = ()
    mode: str = "audit"
    programs: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    share: int = 1
    """One in so many of the made lines is run at most."""

    def policy(self, cwd: Path) -> Policy:
        """The policy in a folder."""
        return build_policy(mode=self.mode, cwd=cwd, allow_tools=self.allow, deny_tools=self.deny)

    def foreign(self, seen: Seen) -> frozenset[str]:
        """What ran or was made that must not."""
        if self.denied:
            return (
                frozenset() if _READS_ITS_INPUT.search(seen.line) else seen.programs & self.denied
            )
        missing = frozenset(f"not found: {name}" for name in (*self.programs, *_MISSING.split()))
        return (seen.programs - self.programs - missing) | seen.files


KINDS = (
    Kind(
        "two programs",
        ("shell(git:*)", "shell(al:*)", "shell(echo:*)"),
        programs=frozenset({"git", "al", "sleep"}),
    ),
    Kind(
        "two programs and builtins",
        ("shell(git:*)", "shell(al:*)", *(f"shell({name}:*)" for name in _BUILTINS.split())),
        programs=frozenset({"git", "al", "sleep"}),
    ),
    Kind("nothing", ()),
    Kind(
        "all but one", ("shell",), ("shell(evil:*)",), "full", denied=frozenset({"evil"}), share=10
    ),
)


@dataclass
class Count:
    """How many lines were made, allowed and run."""

    made: int = 0
    allowed: int = 0
    ran: int = 0
    foreign: int = 0


@dataclass(frozen=True)
class Finding:
    """An allowed line that ran what was not allowed."""

    kind: str
    line: str
    sh: str
    value: str
    what: frozenset[str]


class Fuzz:
    """Makes lines from a seed, judges them and runs what is allowed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._lines = iter(Lines(seed))
        self._shells = Shells(folder)
        self._policies = [(kind, kind.policy(self._shells.project)) for kind in KINDS]
        self._done: set[tuple[str, str]] = set()
        self._round = 0
        self.odd: list[str] = []
        """Allowed lines that no other reader can parse."""
        self.count = Count()

    def batch(self, size: int) -> list[Finding]:
        """Judge so many lines under one policy, and run what is allowed."""
        kind, policy = self._policies[self._round % len(KINDS)]
        value = VALUES[self._round // len(KINDS) % len(VALUES)]
        self._round += 1
        made = list(islice(self._lines, size))
        self.count.made += size
        allowed = [line for line in made if policy.decide(_request(line)).allowed]
        self.count.allowed += len(allowed)
        self.odd += refused_by_all(sorted(set(allowed)))
        fresh = [line for line in dict.fromkeys(allowed) if (kind.name, line) not in self._done]
        fresh = fresh[: size // kind.share]
        self._done.update((kind.name, line) for line in fresh)
        return [
            *self._run(kind, fresh, "dash", value),
            *self._run(kind, _with_sh(fresh), "bash", value),
        ]

    def _run(self, kind: Kind, lines: Sequence[str], sh: str, value: str) -> list[Finding]:
        found = []
        for seen in self._shells.run(lines, sh=sh, value=value, files=not kind.denied):
            self.count.ran += 1
            if kind.foreign(seen) and (what := self._again(kind, seen.line, sh, value)):
                self.count.foreign += 1
                found.append(Finding(kind.name, seen.line, sh, value, what))
        return found

    def _again(self, kind: Kind, line: str, sh: str, value: str) -> frozenset[str]:
        """The same line in a shell of its own, as the runtime starts it."""
        seen = self._shells.run([line], sh=sh, value=value, alone=True)
        return frozenset().union(*(kind.foreign(each) for each in seen))


def _request(line: str) -> ToolRequest:
    return ToolRequest(kind=ToolKind.SHELL, target=line)


def _with_sh(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if re.search(r"\bsh\b", line)]

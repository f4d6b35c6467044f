"""Which files changed while a run went, by git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from threading import Thread

_HARMLESS = (
    *("--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"),
)
"""A repository's configuration names programs; asking about it must start none of them."""
_SECONDS = 2.0
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_Mark = tuple[int, int, int] | None
"""Time, size and number of a file; None: it is not there."""


class Changes:
    """Counts the files below a folder that are others at the end than they were at the beginning.

    Their content is not read, for a repository may name programs that read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: _State | None = None
        self._looking = Thread(target=self._look, daemon=True)

    def begin(self) -> None:
        """Look at the beginning, meanwhile."""
        self._looking.start()

    def settle(self) -> None:
        """Wait until the beginning was looked at, before anything changes."""
        if self._looking.ident is not None:
            self._looking.join()

    def count(self) -> int | None:
        """How many changed; None outside of a repository, or when it takes git too long."""
        self.settle()
        before, after = self._before, None if self._before is None else _State.of(self._folder)
        if before is None or after is None:
            return None
        names = {*before.marks, *after.marks}
        changed = {name for name in names if before.marks.get(name) != after.marks.get(name)}
        if before.head != after.head:
            changed |= set(_lines(self._folder, "diff-tree", "-r", before.head, after.head) or ())
        return len(changed)

    def _look(self) -> None:
        self._before = _State.of(self._folder)


class _State:
    """What git says of a folder: the commit, and a mark of each file that is not as in it."""

    def __init__(self, head: str, marks: dict[str, _Mark]) -> None:
        self.head = head
        self.marks = marks

    @classmethod
    def of(cls, folder: Path) -> _State | None:
        """As it is now; None when there is nothing to know."""
        top = _ask(folder, "rev-parse", "--show-toplevel")
        if top is None:
            return None
        head = (_ask(folder, "rev-parse", "--verify", "--quiet", "HEAD") or _EMPTY_TREE).strip()
        changed = _lines(folder, "diff-index", head)
        new = _lines(folder, "ls-files", "--others", "--exclude-standard", "--full-name")
        if changed is None or new is None:
            return None
        root = Path(top.removesuffix("\n"))
        return cls(head, {name: _mark(root / name) for name in {*changed, *new}})


def _lines(folder: Path, command: str, *arguments: str) -> list[str] | None:
    """The names that a command lists below the folder."""
    names = () if command == "ls-files" else ("--name-only", "--ignore-submodules=all")
    found = _ask(folder, command, "-z", *names, *arguments, "--", ".")
    return None if found is None else [name for name in found.split("\0") if name]


def _mark(file: Path) -> _Mark:
    try:
        found = os.lstat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _ask(folder: Path, *arguments: str) -> str | None:
    """What git says; None where it says no, or takes too long."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", *_HARMLESS, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(done.stdout)

"""The snapshots of sessions in a git folder: which there are, how two differ, deleting them.

It needs no work tree: one that is gone may still be looked at. Refs are
`refs/sdqctl/<adapter>/<session id>/<path>`, whose parts are made safe for git.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import unquote

from sdqctl.model.session import SessionRef
from sdqctl.model.workspace import FileChange, FileStatus, Snapshot
from sdqctl.workspace.git import AUTHOR, Git, as_text, names

PREFIX = "refs/sdqctl"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]|^\.|\.(?=\.)|\.$|\.(?=lock$)")
_COUNTED = (*("-r", "-z", "--raw", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv"),)
_STATUS = {
    b"A": FileStatus.ADDED,
    b"M": FileStatus.MODIFIED,
    b"D": FileStatus.DELETED,
    b"T": FileStatus.RETYPED,
}


class DiffStyle(Enum):
    """What a diff shows; the value is git's option."""

    PATCH = "--patch"
    STAT = "--stat"
    NAME_ONLY = "--name-only"


@dataclass(frozen=True)
class Kept:
    """A snapshot and the path that it is kept under."""

    path: str
    snapshot: Snapshot


@dataclass(frozen=True)
class History:
    """The snapshots in a git folder: a repository's (the one with its objects), or a private one.

    All methods raise WorkspaceError when git fails, as when the folder is gone.
    """

    keeper: Path
    held: Sequence[int] = field(default=(), compare=False)

    def changes(self, before: str, after: str) -> list[FileChange]:
        """The files that differ between two trees or commits, by path."""
        return list(_changes(names(self.git.run("diff-tree", *_COUNTED, before, after))))

    def changes_of(self, pairs: Sequence[tuple[str, str]]) -> list[list[FileChange]]:
        """The same of many pairs of commits, by two processes together."""
        asked = "".join(f"{commit}^{{tree}}\n" for pair in pairs for commit in pair).encode()
        told = self.git.run("cat-file", "--batch-check=%(objectname)", data=asked)
        trees = as_text(told).splitlines()
        lines = [f"{a} {b}\n" for a, b in zip(trees[::2], trees[1::2], strict=True)]
        data = self.git.run("diff-tree", *_COUNTED, "--stdin", data="".join(lines).encode())
        found = [names(part) for part in _split(data, [line.encode() for line in lines])]
        return [list(_changes(parts)) for parts in found]

    def diff(
        self,
        before: str,
        after: str,
        paths: Sequence[str | bytes] = (),
        *,
        style: DiffStyle = DiffStyle.PATCH,
        color: bool = False,
        width: int = 80,
        appliable: bool = False,
    ) -> bytes:
        """How two trees or commits differ, as git writes it, with renames found.

        `paths` start from the top. `width` is for `STAT`. `appliable`: a patch that `git apply`
        takes, also of binary files.
        """
        how = f"--stat={width}" if style is DiffStyle.STAT else style.value
        options = ["-r", "-M", how, "--no-ext-diff", "--no-textconv"]
        options.append("--color=always" if color else "--color=never")
        options += ["--binary", "--full-index"] if appliable else []
        return self.git.run("diff-tree", *options, before, after, "--", *paths)

    def exists(self, commit: str) -> bool:
        """Whether a snapshot is there."""
        return commit not in self.missing([commit])

    def missing(self, commits: Collection[str]) -> set[str]:
        """Which of these snapshots are not there, or lack their tree."""
        asked = [f"{commit}^{{{kind}}}" for commit in commits for kind in ("commit", "tree")]
        data = "".join(f"{each}\n" for each in asked).encode()
        lines = as_text(self.git.run("cat-file", "--batch-check", data=data)).splitlines()
        return {
            each.partition("^")[0]
            for each, line in zip(asked, lines, strict=True)
            if line.endswith(" missing")
        }

    def snapshot(self, commit: str) -> Snapshot:
        """A snapshot by its commit's id. Raises GitError when it is not there."""
        return Snapshot(commit, self.git.line("rev-parse", "--verify", f"{commit}^{{tree}}"))

    def list(self, session: SessionRef | None = None) -> list[Kept]:
        """The snapshots of a session, or of all: paths then begin with adapter and session id."""
        below = f"{session_refs(session)}/" if session else f"{PREFIX}/"
        layout = "--format=%(objectname) %(tree) %(refname)"
        lines = as_text(self.git.run("for-each-ref", layout, below)).splitlines()
        found = (line.split(" ", 2) for line in lines)
        return [
            Kept("/".join(map(unquote, ref.removeprefix(below).split("/"))), Snapshot(commit, tree))
            for commit, tree, ref in found
        ]

    def keep(self, session: SessionRef, path: str, commit: str) -> None:
        """Keep a commit as a session's snapshot under a path; one that was there makes way."""
        self.git.run("update-ref", "--no-deref", _ref(session, path), commit)

    def keep_all(self, session: SessionRef, commits: Mapping[str, str]) -> None:
        """Keep commits by their paths, at once; those that are not there are passed over."""
        gone = self.missing(set(commits.values())) if commits else set[str]()
        self._update(
            f"update {_ref(session, path)} {commit}\n"
            for path, commit in commits.items()
            if commit not in gone
        )

    def base(self, commit: str) -> str | None:
        """The user's commit that a snapshot and those before it were made on; None: on none."""
        for bound in (["--max-count=200"], []):  # a history may be long, a run seldom is
            told = self.git.run("log", "--first-parent", "--format=%H %ce", *bound, commit)
            for line in as_text(told).splitlines():
                found, _, who = line.partition(" ")
                if who != AUTHOR["GIT_COMMITTER_EMAIL"]:
                    return found
        return None

    def delete(self, session: SessionRef, paths: Collection[str] | None = None) -> int:
        """Delete a session's snapshots, or those under some paths; returns how many there were.

        The objects stay until git collects them, if nothing else holds them.
        """
        found = self.list(session)
        going = [each for each in found if paths is None or each.path in paths]
        lines = (f"delete {_ref(session, each.path)} {each.snapshot.commit}\n" for each in going)
        self._update(lines)
        return len(going)

    def move(self, session: SessionRef, to: SessionRef) -> None:
        """Give a session's snapshots to another one, at once."""
        found = self.list(session)
        made = (f"update {_ref(to, each.path)} {each.snapshot.commit}\n" for each in found)
        gone = (f"delete {_ref(session, each.path)} {each.snapshot.commit}\n" for each in found)
        self._update([*made, *gone])

    @property
    def git(self) -> Git:
        """git on the objects and refs."""
        return Git(self.keeper, {"GIT_DIR": str(self.keeper)}, held=self.held)

    def _update(self, lines: Iterable[str]) -> None:
        data = "".join(lines).encode()
        if data:
            self.git.run("update-ref", "--no-deref", "--stdin", data=data)


def session_refs(session: SessionRef) -> str:
    """The ref below which all snapshots of a session are."""
    return f"{PREFIX}/{_safe(session.adapter)}/{_safe(session.id)}"


def _ref(session: SessionRef, path: str) -> str:
    return "/".join((session_refs(session), *map(_safe, path.split("/"))))


def _safe(part: str) -> str:
    """A part of a ref (git-check-ref-format(1)): what it may not hold stands as `%XX`."""
    return _UNSAFE.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in os.fsencode(match[0])), part
    )


def _split(data: bytes, heads: Sequence[bytes]) -> Iterator[bytes]:
    """What `diff-tree --stdin` writes about each pair, after a line that repeats it."""
    place = len(heads[0]) if heads else 0
    for head in heads[1:]:
        end = data.index(head, place)
        yield data[place:end]
        place = end + len(head)
    if heads:
        yield data[place:]


def _changes(parts: list[bytes]) -> Iterator[FileChange]:
    """Read what `diff-tree -z --raw --numstat` writes: first all statuses, then all counts."""
    statuses: dict[bytes, FileStatus] = {}
    rest = iter(parts)
    for part in rest:
        if part.startswith(b":"):
            statuses[next(rest)] = _STATUS.get(part.rsplit(b" ", 1)[1][:1], FileStatus.MODIFIED)
            continue
        added, removed, path = part.split(b"\t", 2)
        counted = added != b"-"
        yield FileChange(
            path=as_text(path),
            status=statuses[path],
            added=int(added) if counted else None,
            removed=int(removed) if counted else None,
        )

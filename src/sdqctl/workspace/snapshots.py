"""Snapshots of a work tree, and making it so again.

How to use it (all of it blocks; an event loop calls it in a thread)::

    workspace = Workspace.open(cwd, home, outside=[...])    # WorkspaceRefusedError says why not
    first = workspace.snapshot(session, "RUN/start")        # before the first step
    after = workspace.snapshot(session, "RUN/4", parent=first)  # `first` if nothing changed
    workspace.changes(first.tree, after.tree)               # without a work tree: `History`
    workspace.restore(first)

What belongs to a tree is what `git add -A` would take at the top of the repository, also when the
folder lies deeper: untracked files, too, ignored ones only where the user's index tracks them. The
user's index, branch, stash and hooks are never touched. Not kept: empty folders, what lies in
repositories within (their commit is, for submodules), modes but for the executable bit.

Store `workspace.keeper` with a snapshot's id: `History(keeper)` finds it again without the tree.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.errors import WorkspaceError, WorkspaceRefusedError
from sdqctl.fs import write_private
from sdqctl.model.session import SessionRef
from sdqctl.model.workspace import FileChange, Snapshot
from sdqctl.process import commit_point
from sdqctl.workspace.git import AUTHOR, Git, GitError, as_text, names
from sdqctl.workspace.history import History
from sdqctl.workspace.private import PrivateFolder, folder_of, listed, on_index
from sdqctl.workspace.repository import (
    Repository,
    current_commit,
    find_repository,
    is_part_of,
    read_configuration,
    refuse_programs,
)

_LOOKING_SECONDS = 60.0
_SHOWN = 5
_TRAILER = 32
"""Bytes at the end of an index that hold its checksum, or more."""


@dataclass(frozen=True)
class Limits:
    """How much a snapshot may take in; 0 is no limit."""

    files: int = 200_000
    """Files of the whole tree."""
    bytes: int = 1024**3
    """Of the files that are new or changed since the last snapshot."""


NO_LIMITS = Limits(files=0, bytes=0)


@dataclass(frozen=True)
class Restored:
    """What a restore did. `tree` is the work tree by now.

    It is the snapshot's, but for `left`: repositories within, which stay as they are, and files
    that were ignored before and are not any more.
    """

    before: str
    """The tree as it was."""
    tree: str
    left: tuple[str, ...] = ()


class Workspace:
    """The work tree around a folder. All methods raise WorkspaceError when git fails."""

    def __init__(self, folder: PrivateFolder, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits

    @classmethod
    def open(
        cls,
        cwd: Path,
        home: Path,
        *,
        limits: Limits | None = None,
        outside: Sequence[Path] = (),
    ) -> Workspace:
        """The work tree around `cwd`; `home` is sdqctl's data folder.

        Folders in `outside` (an agent's own data) and `home` never belong to it. Raises
        WorkspaceRefusedError with the reason when no snapshots can be made of it.
        """
        repository = find_repository(cwd)
        top = repository.top if repository else Path(os.path.realpath(cwd))
        configuration = read_configuration(top)
        refuse_programs(configuration)
        if repository is not None and configuration.sparse:
            raise WorkspaceRefusedError(
                f"the repository {top} is checked out in part (core.sparseCheckout)",
                hint="git sparse-checkout disable makes it whole",
            )
        if repository is None:
            _refuse_wide(top)
        folder = PrivateFolder.of(home, top, repository, configuration, outside)
        if b"." in folder.excluded:
            raise WorkspaceRefusedError(f"{top} is a folder of sdqctl's own data")
        return cls(folder, limits or Limits())

    @staticmethod
    def private_folder(home: Path, top: Path) -> Path:
        """What is kept of a work tree besides its snapshots: it is made again when it is gone."""
        return folder_of(home, Path(os.path.realpath(top)))

    @property
    def top(self) -> Path:
        """The folder of the whole work tree."""
        return self._folder.top

    def has(self, folder: Path) -> bool:
        """Whether a folder is part of this tree."""
        return is_part_of(folder, self.top)

    @property
    def repository(self) -> Repository | None:
        """The user's repository; None when the snapshots lie in a private one."""
        return self._folder.repository

    @property
    def keeper(self) -> Path:
        """The git folder with the objects and refs: what `History` is made from."""
        return self._folder.keeper

    @property
    def history(self) -> History:
        """The snapshots that are kept."""
        return History(self.keeper)

    def tree(self) -> str:
        """The id of the tree as it is. Raises WorkspaceRefusedError over a limit."""
        with self._folder.locked() as git:
            return self._tree(git)

    def snapshot(
        self, session: SessionRef, path: str, *, parent: Snapshot | None = None
    ) -> Snapshot:
        """Keep the tree as it is under a session's `path` (parts between slashes).

        `parent` is the snapshot before it: it is returned when nothing changed since, and nothing
        is kept then. Without one the commit that is checked out is the parent. What was kept under
        the same path makes way.
        """
        with self._folder.locked() as git:
            tree = self._tree(git)
            if parent is not None and parent.tree == tree:
                return parent
            commit = self._commit(git, tree, parent, f"{session.adapter}/{session.id} {path}")
            commit_point("workspace.commit")
            History(self.keeper, git.held).keep(session, path, commit)
            commit_point("workspace.ref")
        return Snapshot(commit, tree)

    def changes(self, before: str, after: str) -> list[FileChange]:
        """The files that differ between two trees or commits."""
        return self.history.changes(before, after)

    def restore(self, target: Snapshot, keep: Iterable[Path] = ()) -> Restored:
        """Make the tree a snapshot's, but for the files to `keep`, which stay as they are. What is
        not in it goes: keep a snapshot of now before.

        Killed in the middle it leaves `restoring`; done again it has the same result. Raises
        WorkspaceError, with nothing changed, when it would write over what no snapshot holds: a
        file that is ignored now.
        """
        with self._folder.locked() as git:
            before = self._tree(git)
            wanted = self._keeping(git, target.tree, before, keep)
            if before != wanted:
                self._refuse_loss(git, before, wanted)
                write_private(self._mark, target.commit.encode())
                commit_point("workspace.restore")
                git.run("read-tree", "--reset", "-u", wanted)
                commit_point("workspace.restored")
            self._mark.unlink(missing_ok=True)
            after = self._tree(git)
        left = () if after == wanted else self.changes(wanted, after)
        return Restored(before, after, tuple(each.path for each in left))

    @property
    def restoring(self) -> str | None:
        """The commit of a restore that was begun and not finished: the tree is neither then."""
        try:
            return self._mark.read_text("ascii") or None
        except FileNotFoundError:
            return None

    def repositories_within(self) -> list[str]:
        """Folders that are repositories of their own: no snapshot holds what lies in them."""
        with self._folder.locked() as git:
            lines = names(git.run("ls-files", "-z", "-s"))
            modules = [line.partition(b"\t")[2] for line in lines if line.startswith(b"160000")]
            return sorted(as_text(path) for path in (*modules, *self._look(git)[1]))

    @property
    def _mark(self) -> Path:
        return self._folder.path / "restoring"

    def _tree(self, git: Git) -> str:
        changed = [*self._look(git)[0], *self._folder.forced(git)]
        if changed:
            self._refuse_much(changed)
            try:
                _take_in(git, self.top, changed)
            except GitError:  # what vanished meanwhile is looked at once more
                _take_in(git, self.top, self._look(git)[0])
            commit_point("workspace.index")
        return self._written(git)

    def _look(self, git: Git) -> tuple[list[bytes], list[bytes]]:
        """The files that are not as the index says, and untracked repositories within."""
        with git.started("diff-files", "-z", "--name-only", "--ignore-submodules=dirty") as diff:
            options = ("-z", "--others", "--exclude-standard")
            others = names(git.run("ls-files", *options, seconds=_LOOKING_SECONDS))
        files = (*names(diff.output), *(name for name in others if not name.endswith(b"/")))
        return [*dict.fromkeys(files)], [name[:-1] for name in others if name.endswith(b"/")]

    def _written(self, git: Git) -> str:
        """The tree of the index; one that was written before is remembered."""
        index, known = self._folder.index, self._folder.path / "tree"
        sum_before = _checksum(index)
        try:
            remembered, _, tree = known.read_text("ascii").partition(" ")
        except (OSError, ValueError):
            remembered = ""
        if remembered == sum_before:
            return tree
        try:
            tree = git.line("write-tree")
        except GitError:  # an object that the user's index held, and that was collected since
            self._folder.make_index(git)
            _take_in(git, self.top, self._look(git)[0])
            tree = git.line("write-tree")
        write_private(known, f"{_checksum(index)} {tree}".encode(), lasting=False)
        return tree

    def _commit(self, git: Git, tree: str, parent: Snapshot | None, text: str) -> str:
        repository = self.repository
        base = current_commit(repository) if repository and parent is None else None
        above = parent.commit if parent else base
        now = f"{datetime.now(UTC).timestamp():.0f} +0000"
        dates = {"GIT_AUTHOR_DATE": now, "GIT_COMMITTER_DATE": now}
        author = Git(git.folder, {**git.variables, **AUTHOR, **dates}, held=git.held)
        return author.line("commit-tree", tree, "-m", text, *(("-p", above) if above else ()))

    def _refuse_much(self, changed: Iterable[bytes]) -> None:
        """Raise WorkspaceRefusedError when the tree, or what changed in it, is over a limit."""
        root = os.fsencode(self.top)
        states = [_state(root + b"/" + name) for name in changed]
        size = sum(each.st_size for each in states if each and stat.S_ISREG(each.st_mode))
        count = _entries(self._folder.index) + len(states)
        for name, unit, found, limit in (
            ("snapshot_files", "files", count, self._limits.files),
            ("snapshot_bytes", "bytes that are new", size, self._limits.bytes),
        ):
            if limit and found > limit:
                raise WorkspaceRefusedError(
                    f"{self.top} has {found} {unit}, more than {limit}",
                    hint=f"ignore what need not be kept (.gitignore), or set {name}",
                )

    def _keeping(self, git: Git, tree: str, now: str, keep: Iterable[Path]) -> str:
        """A tree with those files to keep as they are that the tree of now has."""
        paths = [path.relative_to(self.top) for path in keep if path.is_relative_to(self.top)]
        found = git.run("ls-tree", "-z", now, "--", *paths) if paths else b""
        if not found:
            return tree
        index = self._folder.index.with_name("index.kept")
        own = on_index(git, index)
        try:
            own.run("read-tree", tree)
            own.run("update-index", "-z", "--index-info", data=found)
            return own.line("write-tree")
        finally:
            index.unlink(missing_ok=True)

    def _refuse_loss(self, git: Git, before: str, target: str) -> None:
        """Raise WorkspaceError when a file of the other tree would replace one that is ignored."""
        options = ("-r", "-z", "--name-only", "--diff-filter=A", "--no-renames")
        coming = names(git.run("diff-tree", *options, before, target))
        known = set(names(git.run("ls-files", "-z"))) if coming else set()
        lost = sorted({found for name in coming if (found := _in_the_way(self.top, name, known))})
        if lost:
            shown = ", ".join(as_text(name) for name in lost[:_SHOWN])
            raise WorkspaceError(
                f"ignored files are where the snapshot has others: {shown}",
                hint="move them away; nothing was changed",
            )


def _take_in(git: Git, top: Path, changed: Sequence[bytes]) -> None:
    """Bring an index to what is on disk at these paths."""
    gone = _gone(top, changed)
    if gone:
        git.run("update-index", "-z", "--force-remove", "--stdin", data=listed(gone))
    there = listed(name for name in changed if name not in gone)
    git.run("update-index", "--add", "--remove", "--replace", "-z", "--stdin", data=there)


def _gone(top: Path, changed: Sequence[bytes]) -> set[bytes]:
    """The paths that are a folder by now, or lead through a link: no files of the tree."""
    root, links, found = os.fsencode(top), dict[bytes, bool](), set[bytes]()
    for name in changed:
        folders = name.split(b"/")[:-1]
        for depth in range(1, len(folders) + 1):
            above = b"/".join(folders[:depth])
            if above not in links:
                links[above] = os.path.islink(root + b"/" + above)
            if links[above]:
                found.add(name)
                break
        else:
            if _is_plain_folder(root + b"/" + name):
                found.add(name)
    return found


def _is_plain_folder(path: bytes) -> bool:
    state = _state(path)
    is_folder = state is not None and stat.S_ISDIR(state.st_mode)
    return is_folder and not os.path.lexists(path + b"/.git")


def _in_the_way(top: Path, name: bytes, known: set[bytes]) -> bytes | None:
    """What lies at a path, or at a folder of it, and is not known to the index."""
    root, parts = os.fsencode(top), name.split(b"/")
    for depth in range(1, len(parts) + 1):
        path = b"/".join(parts[:depth])
        state = _state(root + b"/" + path)
        if state is None or path in known:
            return None
        if not stat.S_ISDIR(state.st_mode):
            return path
    return _unknown_below(root, name, known)


def _unknown_below(root: bytes, folder: bytes, known: set[bytes]) -> bytes | None:
    """A file in a folder that the index does not know."""
    for above, _, files in os.walk(root + b"/" + folder):
        for file in files:
            path = os.path.relpath(os.path.join(above, file), root)
            if path not in known:
                return path
    return None


def _state(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _checksum(index: Path) -> str:
    """What tells one content of an index from another: it ends with its hash."""
    try:
        with index.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TRAILER))
            return stream.read().hex()
    except FileNotFoundError:
        return "none"


def _entries(index: Path) -> int:
    """How many files an index has (gitformat-index(5): the third number of its header)."""
    try:
        with index.open("rb") as stream:
            return int.from_bytes(stream.read(12)[8:], "big")
    except FileNotFoundError:
        return 0


def _refuse_wide(top: Path) -> None:
    """Raise WorkspaceRefusedError for a folder that holds everything."""
    homes = {os.path.realpath(os.path.expanduser("~")), "/"}
    if any(Path(each) == top or top in Path(each).parents for each in homes):
        raise WorkspaceRefusedError(
            f"{top} is no project: it holds your home folder", hint="work in a folder of its own"
        )

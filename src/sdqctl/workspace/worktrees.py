"""Work trees of sdqctl's own, one a session, below the data folder: git worktrees on a branch.

`worktrees/KEY/worktree.json` says whose it is, `worktrees/KEY/NAME` is the tree.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import msgspec

from sdqctl.errors import UsageError, WorkspaceError, WorkspaceRefusedError
from sdqctl.fs import make_private_folder, write_private
from sdqctl.model.session import SessionRef, folded
from sdqctl.model.workspace import Snapshot
from sdqctl.process import commit_point
from sdqctl.workspace.git import Git, GitError, as_text
from sdqctl.workspace.history import History
from sdqctl.workspace.merge import Change, Target
from sdqctl.workspace.own import FOLDER, own_folder
from sdqctl.workspace.repository import (
    Repository,
    current_commit,
    find_repository,
    refuse_checkout,
)
from sdqctl.workspace.snapshots import NO_LIMITS, Workspace

_RECORD = "worktree.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Worktree(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree of a session's."""

    adapter: str
    session_id: str
    session_name: str
    top: str
    """The folder of the work tree that it was made from."""
    common: str
    """The git folder of the repository."""
    path: str
    """Its own folder."""
    branch: str
    base: str
    """The commit that it started from."""
    ready: bool = False
    """False: its making was cut off."""
    applied: str | None = None
    """The tree that was brought into a branch of the user's last."""

    @property
    def ref(self) -> SessionRef:
        """Whose it is."""
        return SessionRef(self.adapter, self.session_id)

    @property
    def tree(self) -> Path:
        """Its folder."""
        return Path(self.path)


@dataclass(frozen=True)
class Made:
    """A worktree that is there now. `cwd` is the folder in it that stands for the one it was made
    from; `behind` are files with changes that are not in it, since they were not committed.
    """

    worktree: Worktree
    cwd: Path
    is_new: bool
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """What would be gone with a worktree: commits that no other branch has, changed files."""

    commits: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.commits or self.files)

    def describe(self) -> str:
        """In a few words."""
        parts = []
        if self.commits:
            parts.append(_counted(len(self.commits), "commit") + " that no other branch has")
        if self.files:
            shown = ", ".join(self.files[:3]) + (", ..." if len(self.files) > 3 else "")
            parts.append(f"{_counted(len(self.files), 'uncommitted file')} ({shown})")
        return " and ".join(parts)


def make_worktree(
    home: Path,
    cwd: Path,
    session: SessionRef,
    name: str,
    *,
    branch: str | None = None,
    carry: bool = False,
    start: Snapshot | None = None,
    numbered: bool = False,
) -> Made:
    """The worktree of a session for a folder of a repository; made unless it is there.

    It starts from the commit that is checked out, on `branch` or `sdqctl/NAME`. With `carry` it has
    the uncommitted changes, too, uncommitted; with `start` it starts from the commit that this
    snapshot was made on, and has its files, uncommitted; `numbered`: on `sdqctl/NAME-2` and so on
    where that branch is there already. Raises WorkspaceRefusedError without a repository or a
    commit, UsageError for a branch that is none or is there already, WorkspaceError.
    """
    repository, base = _origin(cwd, start)
    refuse_checkout(repository)
    folder = home / FOLDER / _key(repository, session)
    known = _read(folder)
    inside = Path(os.path.realpath(cwd)).relative_to(repository.top)
    if known is not None and known.ready and known.tree.is_dir():
        return Made(known, known.tree / inside, is_new=False)
    worktree = known or Worktree(
        adapter=session.adapter,
        session_id=session.id,
        session_name=name,
        top=str(repository.top),
        common=str(repository.common),
        path=str(folder / (repository.top.name or "tree")),
        branch=branch or _own_branch(repository, name, numbered=numbered),
        base=base,
    )
    _add(repository, folder, worktree, is_again=known is not None)
    if start is not None:
        _bring(home, worktree, start)
    behind = () if start is not None else _carry(home, repository, worktree, carry=carry)
    worktree = msgspec.structs.replace(worktree, ready=True)
    write_worktree(worktree)
    return Made(worktree, worktree.tree / inside, is_new=True, behind=behind)


def _own_branch(repository: Repository, name: str, *, numbered: bool) -> str:
    branch = f"sdqctl/{_UNSAFE.sub('-', name).strip('-.') or 'session'}"
    if not numbered:
        return branch
    further = (f"{branch}-{number}" for number in count(2))
    return next(name for name in chain([branch], further) if not _has_branch(repository, name))


def _has_branch(repository: Repository, name: str) -> bool:
    git = Git(repository.top, {"GIT_DIR": str(repository.git_folder)})
    wanted = ("--verify", "--quiet", f"refs/heads/{name}")
    return not git.finished("show-ref", *wanted, ok=range(256)).returncode


def write_worktree(worktree: Worktree) -> None:
    """Write down what is known of a worktree. Raises StoreError."""
    data = msgspec.json.format(msgspec.json.encode(worktree))
    write_private(worktree.tree.parent / _RECORD, data)


def worktrees(home: Path) -> list[Worktree]:
    """All that sdqctl made, by the names of their sessions. A damaged record is none."""
    found = [_read(path.parent) for path in (home / FOLDER).glob(f"*/{_RECORD}")]
    return sorted(filter(None, found), key=lambda each: (each.session_name, each.path))


def worktree_of(home: Path, session: SessionRef) -> list[Worktree]:
    """Those of a session: one for each repository that it worked in so."""
    return [each for each in worktrees(home) if each.ref == session]


def worktree_around(home: Path, folder: Path) -> Worktree | None:
    """The one that a folder lies in."""
    top = own_folder(home, folder)
    return _read(top.parent) if top is not None else None


def would_lose(home: Path, worktree: Worktree) -> Loss:
    """What would be gone with it. Raises WorkspaceError when that cannot be told."""
    if not worktree.tree.is_dir():
        return Loss()
    workspace = Workspace.open(worktree.tree, home, limits=NO_LIMITS)
    tree = workspace.tree()
    if tree == worktree.applied:
        return Loss()
    git = Git(worktree.tree)
    changed = workspace.changes(f"{git.line('rev-parse', 'HEAD^{tree}')}", tree)
    own = f"--exclude={worktree.branch}"
    commits = git.run(
        *("log", "--format=%h %s", "HEAD", "--not", own, "--branches", "--remotes", "--tags")
    )
    loss = Loss(tuple(as_text(commits).splitlines()), tuple(sorted(each.path for each in changed)))
    return loss if loss and not _is_brought(worktree, tree) else Loss()


def remove_worktree(home: Path, worktree: Worktree) -> None:
    """Remove a worktree with its branch, whatever is in it: ask `would_lose` before.

    Done again after a kill it does the rest. Raises WorkspaceError.
    """
    if Path(worktree.common).is_dir():
        git = Git(Path(worktree.common), {"GIT_DIR": worktree.common})
        if worktree.tree.is_dir():
            git.run("worktree", "remove", "--force", "--force", worktree.tree, ok=(0, 128))
        git.run("worktree", "prune")
        git.run("branch", "-D", worktree.branch, ok=(0, 1))
    commit_point("worktree.removed")
    shutil.rmtree(worktree.tree.parent, ignore_errors=True)
    shutil.rmtree(Workspace.private_folder(home, worktree.tree), ignore_errors=True)


def _is_brought(worktree: Worktree, tree: str) -> bool:
    """Whether the commit that is checked out where it was made from has all that changed in it."""
    change = Change(worktree.base, tree, "what changed in the worktree")
    try:
        return Target(Path(worktree.top)).has(change)
    except WorkspaceError:
        return False


def _add(repository: Repository, folder: Path, worktree: Worktree, *, is_again: bool) -> None:
    git = Git(repository.top, {"GIT_DIR": str(repository.git_folder)})
    if git.finished("check-ref-format", "--branch", worktree.branch, ok=range(256)).returncode:
        raise UsageError(f"{worktree.branch!r} is no name of a branch")
    exists = _has_branch(repository, worktree.branch)
    if exists and not is_again:
        raise UsageError(
            f"the branch {worktree.branch} exists already",
            hint="name another one: --worktree BRANCH",
        )
    make_private_folder(folder)
    write_worktree(worktree)
    commit_point("worktree.recorded")
    if is_again:
        git.run("worktree", "remove", "--force", "--force", worktree.tree, ok=(0, 128))
        git.run("worktree", "prune")
    branch = (worktree.branch,) if exists else (worktree.base,)
    new = () if exists else ("-b", worktree.branch)
    try:
        git.run("worktree", "add", "--quiet", *new, worktree.tree, *branch)
    except GitError:
        if not is_again:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    commit_point("worktree.added")


def _carry(
    home: Path, repository: Repository, worktree: Worktree, *, carry: bool
) -> tuple[str, ...]:
    """Bring uncommitted changes along; returns the files whose changes stay behind."""
    workspace = Workspace.open(repository.top, home, limits=NO_LIMITS)
    tree = workspace.tree()
    changed = workspace.changes(worktree.base, tree)
    if not changed or not carry:
        return tuple(each.path for each in changed)
    _bring(home, worktree, Snapshot(worktree.base, tree))
    return ()


def _bring(home: Path, worktree: Worktree, files: Snapshot) -> None:
    Workspace.open(worktree.tree, home, limits=NO_LIMITS).restore(files)


def _origin(cwd: Path, start: Snapshot | None) -> tuple[Repository, str]:
    """The repository around a folder, and the commit in it that a worktree starts from."""
    repository = find_repository(cwd)
    base = None
    if repository is not None:
        history = History(repository.common)
        base = history.base(start.commit) if start else current_commit(repository)
    if repository is None or base is None:
        lacks = "no git repository" if repository is None else "a repository without a commit"
        raise WorkspaceRefusedError(
            f"there can be no worktree of {cwd}: it is {lacks}", hint="go on without --worktree"
        )
    return repository, base


def _key(repository: Repository, session: SessionRef) -> str:
    text = f"{repository.common}\0{session.adapter}\0{folded(session.id)}"
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _read(folder: Path) -> Worktree | None:
    try:
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=Worktree)
    except (OSError, msgspec.MsgspecError):
        return None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

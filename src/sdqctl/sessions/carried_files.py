"""The work tree of a session in its bundle: snapshots that go along, and a tree made of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.errors import BundleError, UsageError, WorkspaceError
from sdqctl.model.session import SessionRef
from sdqctl.model.workspace import FileStatus, Snapshot
from sdqctl.sessions.bundle import Bundle, CarriedFiles
from sdqctl.sessions.files import NO_SNAPSHOTS
from sdqctl.sessions.fork_files import working_in
from sdqctl.sessions.snapshots import forget, share
from sdqctl.store.ledger import Ledger
from sdqctl.store.snapshots import snapshots_of
from sdqctl.store.transfer import SNAPSHOTS, SessionRows, take_rows
from sdqctl.workspace.carry import is_commit, pack, unpack
from sdqctl.workspace.history import History
from sdqctl.workspace.repository import Repository, current_commit, find_repository
from sdqctl.workspace.snapshots import NO_LIMITS, Workspace
from sdqctl.workspace.worktrees import Made, make_worktree, remove_worktree

_ALONE = "`--no-workspace` takes the conversation alone"


@contextmanager
def packed(
    ledger: Ledger, ref: SessionRef, *, steady: bool = False
) -> Iterator[tuple[CarriedFiles, Path]]:
    """The snapshots of a session in a file that lasts as long as the block; see `pack`.

    Raises UsageError for a session without any in a repository, WorkspaceError.
    """
    run = next((run for run in reversed(ledger.runs_of(ref)) if run.keeper is not None), None)
    found = [each for each in snapshots_of(ledger, ref) if run and each.keeper == run.keeper]
    last = found[-1].last if found else None
    if run is None or run.keeper is None or last is None:
        raise UsageError("the session has no snapshots of its files", hint=NO_SNAPSHOTS)
    history = History(Path(run.keeper))
    base = history.base(last)
    if base is None:
        raise UsageError(
            "the session's files lie in no git repository with a commit",
            hint="export it without --workspace, and carry the files yourself",
        )
    if not history.list(ref):  # they were made in an earlier conversation of its run
        share(take_rows(ledger, ref), ref)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "files"
        pack(history, ref, base, file, steady=steady)
        inside = _inside(Path(run.cwd)) if run.cwd else ""
        yield CarriedFiles(base=base, snapshot=last, keeper=run.keeper, inside=inside), file


@dataclass(frozen=True)
class Arriving:
    """The work tree of a bundle that is imported: `folder` is in the clone that takes it.

    `in_place`: it is to work in the clone itself, whose files `put_back` makes its own later.
    """

    bundle: Bundle
    files: CarriedFiles
    folder: Path
    home: Path
    in_place: bool = False

    def arrive(self, ref: SessionRef, name: str, undoing: ExitStack) -> ArrivedTree:
        """A worktree with the files, on a branch that is named after the session, or the clone;
        `undoing` takes it away again.

        Raises BundleError where the repository does not fit, WorkspaceError, UsageError.
        """
        repository, start = self._unpacked()
        if self.in_place:
            tree = ArrivedTree(self, repository.top, str(repository.common), ref)
        else:
            top = repository.top
            made = make_worktree(self.home, top, ref, name, start=start, numbered=True)
            tree = ArrivedTree(self, made.worktree.tree, made.worktree.common, ref, made)
        undoing.callback(tree.undo)
        return tree

    def _unpacked(self) -> tuple[Repository, Snapshot]:
        repository = find_repository(self.folder)
        if repository is None:
            raise BundleError(
                f"{self.bundle.path} has a work tree, and {self.folder} is in no git repository",
                hint=f"give a clone of its repository with --cwd DIR; {_ALONE}",
            )
        history, files = History(repository.common), self.files
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "files"
            self.bundle.unpack_snapshots(file)
            try:
                unpack(history, file, files.base, [files.snapshot])
            except WorkspaceError as error:
                raise BundleError(
                    f"{self.bundle.path}: its work tree cannot be made in {repository.top}: "
                    f"{error.message}",
                    hint=f"fetch its commits first, or give another clone with --cwd; {_ALONE}",
                ) from error
        return repository, history.snapshot(files.snapshot)


@dataclass(frozen=True)
class ArrivedTree:
    """The work tree of a session which is imported; `made` where it is a worktree of its own."""

    source: Arriving
    top: Path
    common: str
    ref: SessionRef
    made: Made | None = None

    @property
    def folder(self) -> Path:
        """The folder in it that stands for the one the session worked in."""
        cwd = Path(os.path.realpath(self.top / self.source.files.inside))
        return cwd if cwd.is_dir() and cwd.is_relative_to(os.path.realpath(self.top)) else self.top

    def undo(self) -> None:
        """Take worktree and snapshots away again, since the session did not become one."""
        forget([self.common], self.ref)
        if self.made is not None and self.made.is_new:
            remove_worktree(self.source.home, self.made.worktree)

    def settled(self, rows: SessionRows) -> SessionRows:
        """The rows of runs that work in it, with the snapshots that came along and no others."""
        keeper, came_from = self.common, self.source.files.keeper
        runs = [
            run | {"keeper": keeper if run["keeper"] == came_from else None} for run in rows.runs
        ]
        kept = {run["id"] for run in runs if run["keeper"]}
        attempts = [
            row | {name: _known(row[name]) if row["run_id"] in kept else None for name in SNAPSHOTS}
            for row in rows.attempts
        ]
        rows = msgspec.structs.replace(rows, runs=runs, attempts=attempts)
        rows = working_in(rows, self.folder)
        share(rows, self.ref)
        return rows


def refuse_other_commit(repository: Repository, base: str) -> None:
    """Raise WorkspaceError where another commit is checked out than the one that snapshots were
    made on.
    """
    if current_commit(repository) != base:
        raise WorkspaceError(
            f"the run's files were made on commit {base[:12]}, and another one is checked out in "
            f"{repository.top}",
            hint=f"`git checkout {base[:12]}`, or begin anew without the state",
        )


def put_back(folder: Path, home: Path, commit: str, outside: Sequence[Path]) -> bool:
    """Make the clone around a folder what a snapshot says, but for what is `outside`; whether
    anything changed.

    Raises WorkspaceError, with nothing changed, where another commit is checked out than the one
    that the snapshot was made on, and where changes would be lost that it does not have.
    """
    workspace = Workspace.open(folder, home, limits=NO_LIMITS, outside=outside)
    history, repository = workspace.history, workspace.repository
    target, now = history.snapshot(commit), workspace.tree()
    base = history.base(commit)
    if now == target.tree or repository is None or base is None:
        return False
    if history.snapshot(base).tree == target.tree:
        return False  # nothing was changed by then
    refuse_other_commit(repository, base)
    own = {each.path: each.status for each in workspace.changes(base, now)}
    lost = [
        each.path
        for each in workspace.changes(now, target.tree)
        if each.path in own
        and (own[each.path], each.status) != (FileStatus.ADDED, FileStatus.MODIFIED)
    ]
    if lost:
        raise WorkspaceError(
            f"{repository.top} has changes that the run's files have not: {', '.join(lost[:5])}",
            hint="begin in a clean checkout, or have git ignore them",
        )
    workspace.restore(target)
    return True


def _known(commit: object) -> object:
    return commit if is_commit(commit) else None


def _inside(cwd: Path) -> str:
    """A folder as seen from the top of its repository; the top where that cannot be told."""
    try:
        repository = find_repository(cwd)
    except WorkspaceError:
        return ""
    real = Path(os.path.realpath(cwd))
    return str(real.relative_to(repository.top)) if repository else ""

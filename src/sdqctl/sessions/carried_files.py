"""The work tree of a session in its bundle: snapshots that go along, and a tree made of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.errors import BundleError, UsageError, WorkspaceError
from sdqctl.model.session import SessionRef
from sdqctl.sessions.bundle import Bundle, CarriedFiles
from sdqctl.sessions.files import NO_SNAPSHOTS
from sdqctl.sessions.fork_files import working_in
from sdqctl.sessions.snapshots import forget, share
from sdqctl.store.ledger import Ledger
from sdqctl.store.snapshots import snapshots_of
from sdqctl.store.transfer import SNAPSHOTS, SessionRows
from sdqctl.workspace.carry import is_commit, pack, unpack
from sdqctl.workspace.history import History
from sdqctl.workspace.repository import find_repository
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
    last = next((each.snapshot or each.snapshot_before for each in reversed(found)), None)
    if run is None or run.keeper is None or last is None:
        raise UsageError("the session has no snapshots of its files", hint=NO_SNAPSHOTS)
    history = History(Path(run.keeper))
    base = history.base(last)
    if base is None:
        raise UsageError(
            "the session's files lie in no git repository with a commit",
            hint="export it without --workspace, and carry the files yourself",
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "files"
        pack(history, ref, base, file, steady=steady)
        inside = _inside(Path(run.cwd)) if run.cwd else ""
        yield CarriedFiles(base=base, snapshot=last, keeper=run.keeper, inside=inside), file


@dataclass(frozen=True)
class Arriving:
    """The work tree of a bundle that is imported: `folder` is in the clone that takes it."""

    bundle: Bundle
    files: CarriedFiles
    folder: Path
    home: Path

    def arrive(self, ref: SessionRef, name: str, undoing: ExitStack) -> ArrivedTree:
        """A worktree with the files, on a branch that is named after the session; `undoing` takes
        it away again.

        Raises BundleError where the repository does not fit, WorkspaceError, UsageError.
        """
        tree = ArrivedTree(self, self._made(ref, name), ref)
        undoing.callback(tree.undo)
        return tree

    def _made(self, ref: SessionRef, name: str) -> Made:
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
        start = history.snapshot(files.snapshot)
        return make_worktree(self.home, repository.top, ref, name, start=start)


@dataclass(frozen=True)
class ArrivedTree:
    """The worktree that was made for a session which is imported."""

    source: Arriving
    made: Made
    ref: SessionRef

    @property
    def folder(self) -> Path:
        """The folder in it that stands for the one the session worked in."""
        top = self.made.worktree.tree
        cwd = Path(os.path.realpath(top / self.source.files.inside))
        return cwd if cwd.is_dir() and cwd.is_relative_to(os.path.realpath(top)) else top

    def undo(self) -> None:
        """Take worktree and snapshots away again, since the session did not become one."""
        forget([self.made.worktree.common], self.ref)
        if self.made.is_new:
            remove_worktree(self.source.home, self.made.worktree)

    def settled(self, rows: SessionRows) -> SessionRows:
        """The rows of runs that work in it, with the snapshots that came along and no others."""
        keeper, came_from = self.made.worktree.common, self.source.files.keeper
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

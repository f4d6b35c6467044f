"""The files that a copied session starts with, in a worktree of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from sdqctl.adapters.base import Relocates
from sdqctl.errors import CapabilityError, UsageError
from sdqctl.model.options import OnInterrupted, decode_options, encode_options
from sdqctl.model.run import RunRecord, StepRecord
from sdqctl.model.session import SessionInfo, SessionRef
from sdqctl.model.workspace import Snapshot
from sdqctl.sessions.access import Access
from sdqctl.sessions.files import NO_SNAPSHOTS
from sdqctl.sessions.places import last_done
from sdqctl.store.transfer import Row, SessionRows
from sdqctl.workspace.history import History
from sdqctl.workspace.worktrees import Made, make_worktree


@dataclass(frozen=True)
class OwnTree:
    """A worktree to be made for a copy: what is needed was found, nothing was changed."""

    home: Path
    archive: Relocates
    cwd: Path
    files: Snapshot
    branch: str | None

    @classmethod
    def of(
        cls,
        access: Access,
        info: SessionInfo,
        run: RunRecord | None,
        steps: Sequence[StepRecord],
        kept: Collection[str],
        branch: str,
    ) -> Self:
        """The one with the files as they were after the last step that is kept, or before the
        first of all. An empty `branch`: one that is named after the copy.

        Raises UsageError when no snapshot was taken there, WorkspaceError when it is gone,
        CapabilityError for an adapter whose sessions stay in their folder.
        """
        if run is None or run.keeper is None or run.cwd is None:
            raise UsageError("the session has no snapshots of its files", hint=NO_SNAPSHOTS)
        archive = access.archive(info.adapter)
        if not isinstance(archive, Relocates):
            raise CapabilityError(f"sessions of the {info.adapter} adapter stay in their folder")
        history, commit = History(Path(run.keeper)), _commit(steps, kept)
        return cls(access.home, archive, Path(run.cwd), history.snapshot(commit), branch or None)

    def make(self, copy: SessionRef, name: str) -> Made:
        """Make it, and have the copy work in it. Raises WorkspaceError, UsageError."""
        made = make_worktree(self.home, self.cwd, copy, name, branch=self.branch, start=self.files)
        self.archive.relocate(copy.id, str(made.cwd))
        return made


def working_in(rows: SessionRows, cwd: Path) -> SessionRows:
    """The rows of a session whose runs with snapshots work in a worktree of its own: a step that is
    cut off there is taken back, unless something else was asked for.
    """
    return msgspec.structs.replace(
        rows, runs=[_moved(run, cwd) if run["keeper"] else run for run in rows.runs]
    )


def _moved(run: Row, cwd: Path) -> Row:
    options = decode_options(run["options"])
    if options.on_interrupted is None and options.snapshots is not False:
        options = msgspec.structs.replace(options, on_interrupted=OnInterrupted.REWIND)
    return run | {"cwd": str(cwd), "options": encode_options(options)}


def _commit(steps: Sequence[StepRecord], kept: Collection[str]) -> str:
    done = [step for step in steps if step.path in kept]
    last = last_done(done) if done else None
    where = "before the first step" if last is None else f"after step {last.path}"
    first = min(steps, key=lambda step: step.number, default=None)
    before = first.snapshot_before if first is not None else None
    commit = last.snapshot if last is not None else before
    if commit is None:
        raise UsageError(f"there is no snapshot of the files {where}", hint=NO_SNAPSHOTS)
    return commit

"""The files that a copied session starts with, in a worktree of its own."""

from __future__ import annotations

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
from sdqctl.sessions.places import files_after, last_done
from sdqctl.store.ledger import Ledger
from sdqctl.store.transfer import Row, SessionRows
from sdqctl.workspace.history import History
from sdqctl.workspace.worktrees import Made, make_worktree


@dataclass(frozen=True)
class ForkPoint:
    """`before_event` is the id of the first turn that is left out, None to keep all.

    `kept` are the paths of the steps that count as done, `begun` of those that were cut off and
    are recovered in the fork as they would be in the original.
    """

    before_event: str | None
    kept: frozenset[str]
    begun: frozenset[str] = frozenset()
    going: tuple[StepRecord, ...] = ()
    """The attempts that are left out."""


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
        ledger: Ledger,
        info: SessionInfo,
        run: RunRecord | None,
        cut: ForkPoint,
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
        history, commit = History(Path(run.keeper)), _commit(ledger, run, cut)
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


def _commit(ledger: Ledger, run: RunRecord, cut: ForkPoint) -> str:
    steps = ledger.steps(run.id)
    done = [step for step in steps if step.path in cut.kept]
    if done:
        where = f"after step {last_done(done).path}"
        commit = files_after(ledger, run, done, cut.going)
    else:
        where = "before the first step"
        first = min(steps, key=lambda step: step.number, default=None)
        commit = first.snapshot_before if first is not None else None
    if commit is None:
        raise UsageError(f"there is no snapshot of the files {where}", hint=NO_SNAPSHOTS)
    return commit

"""The snapshots of sessions that go and come back, and whether all that are recorded are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import WorkspaceError
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.store.check import CheckReport, check_ledger
from sdqctl.store.ledger import Ledger
from sdqctl.store.snapshots import all_snapshots
from sdqctl.store.transfer import SessionRows
from sdqctl.workspace.history import History

_TRASH = "trash"
"""Stands for the adapter of those whose session is in the trash."""


@dataclass(frozen=True)
class Check:
    """Whether snapshots that the ledger names are there."""

    there: int
    missing: tuple[str, ...]
    """A line each."""
    unreachable: tuple[str, ...]
    """Git folders that are gone, with their snapshots."""


def keepers_of(ledger: Ledger, ref: SessionRef) -> set[str]:
    """The git folders that have snapshots of a session's runs."""
    return {run.keeper for run in ledger.runs_of(ref) if run.keeper is not None}


def share(rows: SessionRows, ref: SessionRef) -> None:
    """Keep the snapshots that rows name for the session that the rows are for, too."""
    for run in rows.runs:
        found: dict[str, str | None] = {}
        for row in rows.attempts if run["keeper"] else ():
            place = f"{run['id']}/{row['path']}"
            found |= {f"{place}.before": row["snapshot_before"], place: row["snapshot"]}
        named = {place: commit for place, commit in found.items() if commit}
        if named:
            with suppress(WorkspaceError):  # the git folder is gone, and its snapshots with it
                History(Path(run["keeper"])).keep_all(ref, named)


def into_trash(keepers: Iterable[str], ref: SessionRef, bundle: Path) -> None:
    """Put a session's snapshots away with its bundle in the trash."""
    _move(keepers, ref, SessionRef(_TRASH, bundle.stem))


def out_of_trash(keepers: Iterable[str], bundle: Path, ref: SessionRef) -> None:
    """Give the snapshots that were put away with a bundle to the session that it became."""
    _move(keepers, SessionRef(_TRASH, bundle.stem), ref)


def forget_trashed(keepers: Iterable[str], bundle: Path) -> None:
    """Forget the snapshots that were put away with a bundle."""
    forget(keepers, SessionRef(_TRASH, bundle.stem))


def forget(keepers: Iterable[str], ref: SessionRef) -> None:
    """Forget the snapshots of a session; where the git folder is gone there are none."""
    for keeper in keepers:
        with suppress(WorkspaceError):
            History(Path(keeper)).delete(ref)


def check_store(access: Access) -> tuple[CheckReport, Check]:
    """Look at the ledger's file, and whether its snapshots are there if the file is sound."""
    report = check_ledger(access.home)
    if not report.exists or report.problems:
        return report, Check(0, (), ())
    with access.ledger(read_only=True) as ledger:
        return report, check_snapshots(ledger)


def check_snapshots(ledger: Ledger) -> Check:
    """Look whether each snapshot that the ledger names is there, with its tree."""
    wanted = defaultdict[str, dict[str, str]](dict)
    for each in all_snapshots(ledger):
        for commit in filter(None, (each.snapshot_before, each.snapshot)):
            if each.keeper is not None:
                what = f"step {each.path} of run {each.run_id}"
                wanted[each.keeper].setdefault(commit, what)
    there, missing, unreachable = 0, list[str](), list[str]()
    for keeper, commits in wanted.items():
        try:
            gone = History(Path(keeper)).missing(commits.keys())
        except WorkspaceError:
            unreachable.append(keeper)
            continue
        there += len(commits) - len(gone)
        missing += [f"{commits[each]}: snapshot {each} is not in {keeper}" for each in sorted(gone)]
    return Check(there, tuple(missing), tuple(unreachable))


def _move(keepers: Iterable[str], ref: SessionRef, to: SessionRef) -> None:
    for keeper in keepers:
        with suppress(WorkspaceError):  # the git folder is gone, and its snapshots with it
            History(Path(keeper)).move(ref, to)

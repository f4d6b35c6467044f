"""What the steps of a session did to the files of its work tree, by the snapshots in the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.errors import UsageError, WorkspaceError
from sdqctl.model.paths import is_done_by, is_path, is_within, path_key
from sdqctl.model.run import RunRecord, StepRecord
from sdqctl.model.session import SessionRef
from sdqctl.model.workspace import FileChange
from sdqctl.sessions.access import Access
from sdqctl.sessions.places import files_after, own_runs, workflow_run
from sdqctl.sessions.query import Entry
from sdqctl.sessions.resolve import find_session
from sdqctl.store.ledger import Ledger
from sdqctl.store.snapshots import snapshots_of
from sdqctl.text.terminal import sanitize_coloured
from sdqctl.workspace.history import DiffStyle, History
from sdqctl.workspace.pager import paged

_LONGEST_DIFF = 200_000
"""Bytes of a step's diff in an exported page."""
NO_SNAPSHOTS = (
    "they are kept in a git repository, by runs whose tools may write or run commands, unless "
    "--no-snapshots or a setting says otherwise"
)


@dataclass(frozen=True)
class StepFiles:
    """What one step changed: the commits before and after it, and the files that differ."""

    run_id: str
    path: str
    keeper: str
    before: str
    after: str
    files: tuple[FileChange, ...]

    @property
    def summary(self) -> str:
        """How many files and lines, in a few words."""
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        added = sum(each.added or 0 for each in self.files)
        removed = sum(each.removed or 0 for each in self.files)
        return f"{files} +{added} -{removed}"

    def diff(self) -> str:
        """The lines that differ, as git writes them; what is too long is cut.

        Raises WorkspaceError.
        """
        data = History(Path(self.keeper)).diff(self.before, self.after)
        text = data[:_LONGEST_DIFF].decode("utf-8", "backslashreplace")
        return text if len(data) <= _LONGEST_DIFF else f"{text}\n[{len(data)} bytes, cut here]\n"


@dataclass(frozen=True)
class TreeRange:
    """Two trees of a session, as commits in a git folder."""

    entry: Entry
    keeper: Path
    before: str
    after: str

    def diff(self, style: str, *, color: bool = False, width: int = 80) -> bytes:
        """How they differ, as git writes it: `patch`, `stat` or `name_only`.

        Raises WorkspaceError when a snapshot is gone.
        """
        history = History(self.keeper)
        if gone := history.missing({self.before, self.after}):
            raise WorkspaceError(
                f"the snapshots of {self.entry.info.label} are gone from {self.keeper}: "
                + ", ".join(sorted(each[:12] for each in gone)),
                hint="they lie below refs/sdqctl of the repository",
            )
        return history.diff(
            self.before, self.after, style=DiffStyle[style.upper()], color=color, width=width
        )

    def is_paged(self, text: str, environment: Mapping[str, str]) -> bool:
        """Show it through the pager that git would use; returns whether there is one."""
        return paged(text, environment)


def as_shown(data: bytes) -> str:
    """What git wrote, harmless for a terminal but for its colours."""
    return sanitize_coloured(data.decode("utf-8", "backslashreplace"))


def files_of_steps(runs: Iterable[tuple[RunRecord, Sequence[StepRecord]]]) -> list[StepFiles]:
    """What each step changed, for those that changed anything and whose snapshots are there."""
    wanted = defaultdict[str, list[StepRecord]](list)
    for run, steps in runs:
        if run.keeper is not None:
            wanted[run.keeper] += [step for step in steps if _changed(step)]
    found: list[StepFiles] = []
    for keeper, steps in wanted.items():
        found += _files_in(keeper, steps)
    return found


def _files_in(keeper: str, steps: Sequence[StepRecord]) -> list[StepFiles]:
    history = History(Path(keeper))
    trees = [(step, str(step.snapshot_before), str(step.snapshot)) for step in steps]
    try:
        gone = history.missing({commit for _, *pair in trees for commit in pair})
        there = [tree for tree in trees if gone.isdisjoint(tree[1:])]
        changes = history.changes_of([(before, after) for _, before, after in there])
    except WorkspaceError:  # the repository is gone, or another one is in its place
        return []
    return [
        StepFiles(step.run_id, step.path, keeper, before, after, tuple(files))
        for (step, before, after), files in zip(there, changes, strict=True)
        if files
    ]


def _changed(step: StepRecord) -> bool:
    known = None not in (step.snapshot_before, step.snapshot)
    return known and step.snapshot_before != step.snapshot


def find_range(
    access: Access, argument: str, steps: str | None = None, adapter: str | None = None
) -> TreeRange:
    """The trees before and after a session, or before and after its steps `3` or `3..5`.

    Steps are those of its last workflow run with snapshots. Raises UsageError for steps that are
    none, WorkspaceError for a session without snapshots, and what `find_session` raises.
    """
    entry = find_session(access, argument, adapter)
    with access.ledger(read_only=True) as ledger:
        if steps is None:
            return _whole(entry, ledger)
        run = run_with_trees(ledger, entry.ref, entry.info.label)
        first, last = _ends(steps, ledger.steps(run.id))
        before, after = tree_before(ledger, run, first), tree_after(ledger, run, last)
    return TreeRange(entry, Path(run.keeper or ""), before, after)


def _whole(entry: Entry, ledger: Ledger) -> TreeRange:
    trees = [each for each in snapshots_of(ledger, entry.ref) if each.keeper]
    if not trees:
        raise no_snapshots(entry.info.label)
    keeper = trees[-1].keeper
    same = [each for each in trees if each.keeper == keeper]
    commits = [c for each in same for c in (each.snapshot_before, each.snapshot) if c]
    return TreeRange(entry, Path(str(keeper)), commits[0], commits[-1])


def run_with_trees(ledger: Ledger, ref: SessionRef, label: str) -> RunRecord:
    """The run whose steps are meant: the last one of a workflow that has snapshots, else the last.

    Raises WorkspaceError when there is none.
    """
    run = workflow_run([run for run in own_runs(ledger, ref) if run.keeper is not None])
    if run is None:
        raise no_snapshots(label)
    return run


def no_snapshots(label: str) -> WorkspaceError:
    """What is raised for a session whose files were never kept."""
    return WorkspaceError(f"session {label!r} has no snapshots of its files", hint=NO_SNAPSHOTS)


def tree_before(ledger: Ledger, run: RunRecord, path: str) -> str:
    """The commit of the tree before a step. Raises WorkspaceError when none is known."""
    steps, key = ledger.steps(run.id), path_key(path)
    earlier = [s.snapshot for s in steps if path_key(s.path) < key and s.snapshot]
    here = [a.snapshot_before for a in ledger.attempts(run.id) if _in_run(a) and a.path == path]
    later = [s.snapshot_before for s in steps if path_key(s.path) >= key and s.snapshot_before]
    found = next(filter(None, [*here[:1], *earlier[-1:], *later]), None)
    return found or _unknown(path)


def tree_after(ledger: Ledger, run: RunRecord, path: str, going: Iterable[StepRecord] = ()) -> str:
    """The commit of the tree after a step and all within it; of a step that keeps none, that of
    the one before. Without what attempts did that are `going`. Raises WorkspaceError when none is
    known.
    """
    steps = ledger.steps(run.id)
    known = [step for step in steps if is_done_by(step.path, path) and step.snapshot]
    later = [step.snapshot_before for step in steps if step.snapshot_before]
    found = files_after(ledger, run, known, going) if known else next(iter(later), None)
    return found or _unknown(path)


def find_step(text: str, steps: Sequence[StepRecord]) -> str:
    """The path of a step, or of a checkpoint by its name. Raises UsageError for one that is none,
    or that never began.
    """
    names = {step.title: step.path for step in steps if step.kind == "checkpoint"}
    path = names.get(text, text)
    known = [step.path for step in steps]
    if path not in known and not any(is_within(each, path) for each in known if is_path(path)):
        last = f"steps up to {known[-1]} have begun" if known else "no step has begun"
        raise UsageError(f"there is no step {text!r}: {last}", hint="`sessions show` lists them")
    return path


def _in_run(attempt: StepRecord) -> bool:
    return not attempt.superseded


def stamp() -> str:
    """Now, as part of a path under which a snapshot is kept besides those of steps."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def _unknown(path: str) -> str:
    raise WorkspaceError(f"there is no snapshot of step {path}", hint=NO_SNAPSHOTS)


def _ends(text: str, steps: Sequence[StepRecord]) -> tuple[str, str]:
    """The first and the last step of `3`, `3..5`, `3..` or `..5`."""
    if not steps:
        raise UsageError(f"{text}: no step has begun")
    first, dots, last = text.partition("..")
    begin = find_step(first, steps) if first else steps[0].path
    end = (find_step(last, steps) if last else steps[-1].path) if dots else begin
    if not (first or last) or path_key(begin) > path_key(end):
        raise UsageError(f"{text!r} are no steps", hint="such as 3, 3..5 or 3..")
    return begin, end

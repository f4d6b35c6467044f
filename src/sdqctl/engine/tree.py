"""The work tree of a run: a snapshot after each step, and going back to the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.errors import SharedTreeError, StepError, WorkspaceError
from sdqctl.model.events import Event, Warned
from sdqctl.model.session import SessionRef
from sdqctl.store.audit import targets_of
from sdqctl.store.life import Life, Sign, forget_life, last_sign
from sdqctl.store.neighbours import at_work_since, moment
from sdqctl.store.snapshots import note_half_done

if TYPE_CHECKING:
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.workspace import Snapshot
    from sdqctl.store.ledger import Ledger
    from sdqctl.workspace.snapshots import Workspace

_SHOWN = 5


class Tree:
    """Snapshots of one run's tree; without a workspace there are none, and nothing is taken.

    git runs in threads, one at a time. What fails is said once, and ends the snapshots of this
    process: the run itself goes on.
    """

    def __init__(
        self,
        record: RunRecord,
        workspace: Workspace | None,
        *,
        ledger: Ledger,
        home: Path,
        emit: Callable[[Event], None],
        discards: bool = False,
        keeps: Sequence[Path] = (),
    ) -> None:
        """`discards`: what others changed since a step was cut off is taken back with it. `keeps`
        are files that nothing takes back: by these the run goes.
        """
        self._run = record
        self._workspace = workspace
        self._ledger = ledger
        self._home = home
        self._emit = emit
        self._discards = discards
        self.keeps = keeps
        self._first: Snapshot | None = None
        """The tree before the first step of this process."""
        self._now: Snapshot | None = None
        self.seen: int | None = None
        """The moment at which that was the tree (`store.neighbours`)."""
        self._taking = asyncio.Lock()
        """git runs once at a time, also where steps go side by side."""
        self._own: set[tuple[str, int]] = set()
        self._life = Life(home, record.id)
        self._before = last_sign(home, record.id)
        """The last sign of life of the process before this one."""

    @property
    def now(self) -> str | None:
        """The commit of the tree as it was last seen; None: there are no snapshots."""
        return self._now.commit if self._now is not None and self._workspace is not None else None

    @contextmanager
    def living(self) -> Iterator[None]:
        """The signs of life that the steps give end here; a completed run leaves none."""
        if self._workspace is None:
            yield
            return
        try:
            yield
        finally:
            self._life.stop()
        forget_life(self._home, self._run.id)

    async def begin(self, session_id: str, path: str) -> None:
        """Look at the tree before the first step that this process does; later looks are free."""
        if self._workspace is None or self._now is not None:
            return
        self._now = await asyncio.to_thread(self._last_known)
        await self._take(session_id, f"{path}.before")
        self._first = self._now
        if self._workspace is not None:
            keeper = str(self._workspace.keeper)
            if keeper != self._run.keeper:
                self._ledger.update_run(self._run.id, keeper=keeper)

    async def take(self, session_id: str, path: str) -> str | None:
        """The tree after a step, whose commit goes into the ledger with the step's end."""
        await self.begin(session_id, path)
        await self._take(session_id, path)
        return self.now

    def changed(self, *, look: bool) -> int | None:
        """How many files are others than before the first step; None: there are no snapshots.

        `look`: as they are now, not as they were after the last step. It blocks.
        """
        workspace, first = self._workspace, self._first
        if workspace is None or first is None or self._now is None:
            return None
        try:
            tree = workspace.tree() if look else self._now.tree
            return len(workspace.changes(first.tree, tree)) if tree != first.tree else 0
        except WorkspaceError:
            return None

    def begun_here(self, record: StepRecord) -> None:
        """Note that this process itself began an attempt: it sees all that happens meanwhile."""
        if self._workspace is not None:
            self._life.start()
        self._own.add((record.path, record.attempts))

    async def go_back(self, first: StepRecord, last: StepRecord, named: Iterable[str]) -> None:
        """Make the tree what it was before a step that was begun and is not done.

        `first` and `last` are the attempts that go: all that they changed is taken back, and kept
        as a snapshot of its own. `named` are the texts in which the step names files. Nothing of
        the tools may run any more. Done again after a kill, it comes to the same.

        Raises StepError when no snapshot was taken before the step, or somebody changed the tree
        since, SharedTreeError when another run was at work in it, WorkspaceError when git fails.
        """
        workspace = self._workspace
        if workspace is None or first.snapshot_before is None:
            raise StepError(
                f"step {first.path} cannot be taken back: no snapshot was taken before it",
                hint="let the agent finish it with `--on-interrupted continue`",
            )
        place = f"{last.path}.cut-off-{last.attempts}"
        await self.begin(last.session_id or "", last.path)
        await self._take(last.session_id or "", place)  # begun here, it was not looked at since
        if self._workspace is None or self._now is None:
            raise StepError(f"step {first.path} cannot be taken back without snapshots")
        half_done = self._now
        before = await asyncio.to_thread(workspace.history.snapshot, first.snapshot_before)
        restoring = workspace.restoring == before.commit
        if half_done.tree == before.tree and not restoring:
            self._now = before
            return
        self._refuse_company(workspace, first)
        ref = SessionRef(self._run.adapter, last.session_id or "")
        kept = f"{self._run.id}/{place}"
        await asyncio.to_thread(workspace.history.keep, ref, kept, half_done.commit)
        if not self._is_own(last) and not self._discards:
            known = last.snapshot if restoring else None
            await asyncio.to_thread(
                self._refuse_foreign, workspace, before, half_done, known, last, [*named]
            )
        self._life.start()
        if not restoring or last.snapshot is None:
            note_half_done(self._ledger, self._run.id, last.path, half_done.commit)
        seen = self._refuse_company(workspace, first)
        restored = await asyncio.to_thread(workspace.restore, before, self.keeps)
        self._now, self.seen = before, seen
        await self._take(last.session_id or "", f"{last.path}.before")
        if restored.left:
            self._warn(f"step {last.path}: not taken back: {_listed([*restored.left])}")

    def _refuse_company(self, workspace: Workspace, first: StepRecord) -> int:
        """Raise SharedTreeError when another run was at work in the tree since the step began: what
        that changed would go as well. Returns the moment at which there was none.
        """
        now = moment(self._ledger)
        found = at_work_since(self._ledger, self._home, first)
        names = [each.name for each in found if workspace.has(Path(each.cwd))]
        if names:
            verb = "was" if len(names) == 1 else "were"
            raise SharedTreeError(
                f"step {first.path} is not taken back: {_listed(names)} {verb} at work in the same "
                "tree meanwhile"
            )
        return now

    def _is_own(self, record: StepRecord) -> bool:
        return (record.path, record.attempts) in self._own

    def _refuse_foreign(
        self,
        workspace: Workspace,
        before: Snapshot,
        now: Snapshot,
        known: str | None,
        last: StepRecord,
        named: list[str],
    ) -> None:
        """Raise StepError for files that changed after the step's processes had ended."""
        from sdqctl.engine.authorship import Authorship

        sign = self._before
        if sign is None:
            started = last.started_at
            sign = Sign(started.timestamp() if started else 0.0, in_order=True)
        texts = [*targets_of(self._ledger, self._run.id, last.path), *named]
        restored = workspace.changes(before.tree, known) if known else []
        judge = Authorship(workspace.top, sign, texts, [each.path for each in restored])
        changed = [each.path for each in workspace.changes(before.tree, now.tree)]
        yours = judge.foreign([path for path in changed if workspace.top / path not in self.keeps])
        if yours:
            raise StepError(
                f"step {last.path} is not taken back: files were changed after it was cut off, "
                f"and nothing was overwritten: {_listed(yours)} (all of it is kept as "
                f"{now.commit[:12]})",
                hint="go on with them as they are with `--on-interrupted continue`; or move them "
                "away and give the command again; or take them back, too, with "
                "`--discard-changes`",
            )

    def _last_known(self) -> Snapshot | None:
        """The newest tree of this run that is recorded and still there."""
        assert self._workspace is not None
        attempts = self._ledger.attempts(self._run.id)
        commits = (one.snapshot or one.snapshot_before for one in reversed(attempts))
        commit = next(filter(None, commits), None)
        try:
            return self._workspace.history.snapshot(commit) if commit else None
        except WorkspaceError:
            return None

    async def _take(self, session_id: str, place: str) -> None:
        if self._workspace is None:
            return
        ref = SessionRef(self._run.adapter, session_id)
        async with self._taking:
            await self._snapshot(ref, place)

    async def _snapshot(self, ref: SessionRef, place: str) -> None:
        if self._workspace is None:
            return
        seen = moment(self._ledger)
        try:
            self._now = await asyncio.to_thread(
                self._workspace.snapshot, ref, f"{self._run.id}/{place}", parent=self._now
            )
            self.seen = seen
        except WorkspaceError as error:
            self._workspace = None
            self._warn(f"no snapshots from here on: {error.message}")

    def _warn(self, message: str) -> None:
        self._emit(Warned(message=message))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

"""A session whose state lies in a file that outlives the machine, such as an artifact of CI."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sdqctl.errors import (
    SdqctlError,
    SessionBusyError,
    SessionExistsError,
    SessionNotFoundError,
)
from sdqctl.model.run import RunRecord, RunStatus
from sdqctl.model.session import SessionInfo, SessionRef, find_called
from sdqctl.process import commit_point
from sdqctl.sessions.access import Access
from sdqctl.sessions.bundle import Bundle
from sdqctl.sessions.carried_files import Arriving, put_back, refuse_other_commit
from sdqctl.sessions.choosing import Choice
from sdqctl.sessions.delete import delete_entries
from sdqctl.sessions.query import Entry, all_entries
from sdqctl.sessions.sealing import Seal, opened
from sdqctl.sessions.states import StateWriter
from sdqctl.sessions.transfer import import_bundle
from sdqctl.store.snapshots import last_snapshot
from sdqctl.store.transfer import SNAPSHOTS, Row, take_rows
from sdqctl.workspace.repository import find_repository, is_part_of

_Result = TypeVar("_Result")
_SETTLED = ("done", "skipped")


@dataclass(frozen=True)
class Restored:
    """The session that is here by now, and the name that its runs are given."""

    info: SessionInfo
    called: str


@dataclass
class StateFile:
    """The file, and the session that is restored from it and published to it again.

    It is replaced whole and at once after each step, so that a process that is killed leaves the
    state after the last step that it finished.
    """

    access: Access
    path: Path
    note: Callable[[str], None]
    seal: Seal | None = None
    outside: Sequence[Path] = ()
    """What is no part of the files, as this one is not."""
    ref: SessionRef | None = None
    """The session, once there is one."""
    _writer: StateWriter = field(init=False)
    _one: threading.Lock = field(default_factory=threading.Lock, init=False)
    """A signal leaves the thread that publishes at work: the state after it is written after it."""

    def __post_init__(self) -> None:
        self._writer = StateWriter(self.access, self.note)

    def restore(self, folder: Path, workflow: Path) -> Restored | None:
        """The session as the file has it, working in `folder`; None where there is no file.

        Its runs of a workflow that is called like `workflow` become runs of that one. Where one of
        them is unfinished and `folder` is a clone, its files become what they were. A copy that is
        here already stays if it has all that the file has, and goes into the trash if it has less.
        Raises BundleError, SessionBusyError, SessionExistsError where both have what the other has
        not, and WorkspaceError where files would be lost.
        """
        if not self.path.exists():
            return None
        with tempfile.TemporaryDirectory(prefix="sdqctl-") as place, ExitStack() as stack:
            file = opened(self.path, self.seal, Path(place))
            bundle = stack.enter_context(Bundle.open(file))
            called = _called(bundle)
            here = self._here(bundle)
            if here is None or not self._stays(here, bundle):
                if here is not None:
                    self._put_aside(here)
                info = self._arrived(bundle, folder, workflow)
            else:
                info = here.info
        self.ref = SessionRef(info.adapter, info.id)
        self._put_files_back(self.ref, folder)
        return Restored(info, called or info.label)

    def publish(self) -> None:
        """Write the session as it is into the file. Raises SessionNotFoundError, StoreError."""
        with self._one:
            self._publish()

    def _publish(self) -> None:
        assert self.ref is not None, "there is a session"
        info = self._writer.look(self.ref)
        if self.seal is None:
            self._writer.write(info, self.path)
            return
        with tempfile.TemporaryDirectory(prefix="sdqctl-") as folder:
            plain = Path(folder) / "state"
            self._writer.write(info, plain)
            self.seal.close(plain, self.path)

    async def after_step(self, ref: SessionRef) -> None:
        """Publish the state after a step."""
        self.ref = ref
        commit_point("state.publish")
        await asyncio.to_thread(self.publish)

    async def keep(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Do the work, and publish how it ended, whatever that is.

        Raises what the work raises, else why its end could not be published.
        """
        try:
            result = await work
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return result

    def _end(self, error: BaseException | None) -> None:
        if self.ref is None:
            return
        try:
            self.publish()
        except SessionNotFoundError:
            return  # it did not come to be
        except SdqctlError as failure:
            if error is None:
                raise
            self.note(f"the last state is not in {self.path}: {failure.message}")

    # -- restoring ---------------------------------------------------------------------------------

    def _here(self, bundle: Bundle) -> Entry | None:
        entries = list(all_entries(self.access, bundle.manifest.adapter))
        found = find_called((each.info for each in entries), bundle.manifest.session.id)
        return next((each for each in entries if found is not None and each.info is found), None)

    def _stays(self, here: Entry, bundle: Bundle) -> bool:
        """Whether a copy here has all that the file has. Raises SessionExistsError."""
        with self.access.ledger(read_only=True) as ledger:
            own = _settled(take_rows(ledger, here.ref).attempts)
        kept = _settled(bundle.rows().attempts)
        if own < kept:
            return False
        if not own >= kept:
            raise SessionExistsError(
                f"session {here.info.label!r} is here, too, and went another way than {self.path}",
                hint="`sdqctl sessions delete` puts the one here into the trash; or give another "
                "--state FILE",
            )
        return True

    def _put_aside(self, here: Entry) -> None:
        if here.holder is not None:
            raise SessionBusyError(
                f"session {here.info.label!r} is in use here by {here.holder.describe()}",
                hint="end it there first",
            )
        delete_entries(self.access, Choice([here], unused=True)).raise_what_stays()
        self.note(f"the copy of {here.info.label!r} that was here is older, and is in the trash")

    def _arrived(self, bundle: Bundle, folder: Path, workflow: Path) -> SessionInfo:
        files = None
        carried, repository = bundle.manifest.workspace, find_repository(folder)
        if carried is not None and repository is not None and _has_files(bundle):
            refuse_other_commit(repository, carried.base)
            files = Arriving(bundle, carried, folder, self.access.home, in_place=True)
        return import_bundle(self.access, bundle, cwd=folder, files=files, workflow=workflow)

    def _put_files_back(self, ref: SessionRef, folder: Path) -> None:
        """Make the files those of the unfinished run, where it has snapshots in this clone."""
        repository = find_repository(folder)
        if repository is None:
            return
        keeper, top = str(repository.common), repository.top
        with self.access.ledger(read_only=True) as ledger:
            run = next(iter(reversed(ledger.runs_of(ref, called=False))), None)
            if run is None or not run.status.unfinished or run.keeper != keeper:
                return
            commit = last_snapshot(ledger, ref, lambda called: _works_in(called, keeper, top))
        if commit is None:
            return
        outside = (*self.access.agent_folders(), *self.outside)
        if put_back(folder, self.access.home, commit, outside):
            self.note("the files are as they were after the last step")


def _works_in(run: RunRecord, keeper: str, top: Path) -> bool:
    """Whether a run's snapshots are of the work tree at `top`."""
    return run.keeper == keeper and run.cwd is not None and is_part_of(Path(run.cwd), top)


def _settled(attempts: list[Row]) -> set[tuple[object, ...]]:
    """Which attempts at steps came to an end that holds."""
    return {
        (row["run_id"], row.get("path", row.get("position")), row["started_at"])
        for row in attempts
        if row["status"] in _SETTLED
    }


def _runs(bundle: Bundle) -> list[Row]:
    """The runs that no other one calls."""
    return [run for run in bundle.rows().runs if run.get("parent_run") is None]


def _called(bundle: Bundle) -> str | None:
    """The name that the last run was given, which a new conversation of it has not."""
    name = next((run["session_name"] for run in reversed(_runs(bundle))), None)
    return name or bundle.manifest.session.name


def _has_files(bundle: Bundle) -> bool:
    """Whether the last run is to go on, and has changed files: else they are not wanted."""
    run = next(iter(reversed(_runs(bundle))), None)
    if run is None or run["status"] == RunStatus.COMPLETED:
        return False
    found = [row for row in bundle.rows().attempts if row["run_id"] == run["id"]]
    return len({row[name] for row in found for name in SNAPSHOTS if row.get(name)}) > 1

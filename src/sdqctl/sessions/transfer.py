"""A session out into a bundle, and in from one, with its ledger rows and workflows."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.adapters.base import LeavesBehind, SessionArchive
from sdqctl.errors import BundleError, SdqctlError, UsageError
from sdqctl.fs import led_to, replacing, writing
from sdqctl.model.options import decode_options
from sdqctl.model.session import (
    SessionInfo,
    SessionRef,
    is_session_id,
    name_problem,
    refuse_taken,
    session_id_for,
)
from sdqctl.sessions.access import Access
from sdqctl.sessions.bundle import Bundle, CarriedFiles, Opened, write_bundle
from sdqctl.sessions.bundled_workflows import place_workflows, workflow_text
from sdqctl.sessions.called import unfinished_calls
from sdqctl.sessions.carried_files import Arriving, packed
from sdqctl.sessions.query import all_entries
from sdqctl.sessions.redaction import Cleaner
from sdqctl.sessions.rewind_log import RewindLog
from sdqctl.sessions.snapshots import keepers_of, out_of_trash
from sdqctl.sessions.trash import Deleted, called_by_deleted, find_deleted, remove
from sdqctl.store.gone import set_aside
from sdqctl.store.intentions import put_unsettled, settle
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import SessionLock, holder
from sdqctl.store.naming import names_a_session
from sdqctl.store.redact import Redactor, refuse_secret_name
from sdqctl.store.rows import put_session
from sdqctl.store.transfer import (
    Row,
    SessionRows,
    moved,
    put_rows,
    remove_runs,
    take_rows,
    without_permissions,
    without_snapshots,
)
from sdqctl.store.workflows import remove_unused
from sdqctl.text.undecoded import is_decoded
from sdqctl.workflow.parser import parse_workflow
from sdqctl.workflow.plan import build_plan

_OTHER_NAME = "import it under another name: --name NAME"


@dataclass(frozen=True)
class Carried:
    """What of a session did not go into its bundle."""

    left_out: tuple[str, ...] = ()
    """Files that cannot be looked through, or have a secret."""
    changed: bool = False
    """Whether secrets were taken out of the others."""
    left_behind: str | None = None
    """What the runtime keeps of it elsewhere, as a line for the user."""
    calls: tuple[str, ...] = ()
    """Lines about what it calls in sessions of their own (`unfinished_calls`)."""


def bundle_session(
    access: Access,
    info: SessionInfo,
    target: Path,
    *,
    with_secrets: bool = False,
    with_files: bool = False,
) -> Carried:
    """Write a session's bundle (`write_session`) while nobody else writes the session, so that its
    steps and its talk belong together. Raises SessionBusyError, too.
    """
    ref = SessionRef(info.adapter, info.id)
    held = holder(access.home, ref)
    own = held is not None and held.pid == os.getpid()  # a conversation exports itself
    with nullcontext() if own else SessionLock.acquire(access.home, ref):
        return write_session(
            access, info, led_to(target), with_secrets=with_secrets, with_files=with_files
        )


def write_session(
    access: Access,
    info: SessionInfo,
    target: Path,
    *,
    with_secrets: bool = False,
    with_files: bool = False,
    steady: bool = False,
    redact: Redactor | None = None,
) -> Carried:
    """Write the bundle of a session that is held, for another machine, or for somebody else;
    `with_files` with the snapshots of its work tree, as they are, `steady` to be compared with
    others (`write_bundle`). A `redact` that knows an earlier one has less to look through.

    Raises SessionUnusableError, StoreError, and UsageError for a session without snapshots.
    """
    redact = redact or Redactor(access.environment)
    cleaner = None if with_secrets else Cleaner(redact, _step_digests)
    archive, ref = access.archive(info.adapter), SessionRef(info.adapter, info.id)
    with access.ledger() as ledger, ExitStack() as stack:
        export_bundle(
            target,
            info=info,
            archive=archive,
            ledger=ledger,
            cleaner=cleaner,
            workspace=stack.enter_context(packed(ledger, ref, steady=steady))
            if with_files
            else None,
            steady=steady,
            opened=writing,
        )
        calls = unfinished_calls(ledger, ref)
    more = archive.left_behind(info.id) if isinstance(archive, LeavesBehind) else None
    if cleaner is None:
        return Carried(left_behind=more, calls=calls)
    return Carried(tuple(cleaner.left_out), cleaner.changed, more, calls)


def import_session(
    access: Access,
    file: Path,
    name: str | None = None,
    cwd: Path | None = None,
    *,
    own: bool = False,
    with_files: bool = True,
    workflow: Path | None = None,
    instead: SessionInfo | None = None,
) -> SessionInfo:
    """Make a session of a bundle, of one's `own` (the trash) with what its runs were allowed. A
    work tree in it becomes a worktree of the repository around `cwd`, unless it is to be without
    files. A workflow called like `workflow` is that file here. The session gets id and name of the
    one that it is there `instead` of.

    Raises BundleError, SessionExistsError, UsageError, WorkspaceError.
    """
    if cwd is not None and not cwd.is_dir():
        raise UsageError(f"--cwd {cwd}: there is no such folder")
    if cwd is not None and not is_decoded(str(cwd.resolve())):
        raise UsageError(f"--cwd {cwd}: its name is not UTF-8", hint="rename it")
    if name is not None:
        refuse_secret_name(name, access.environment)
    with Bundle.open(file) as bundle:
        carried, files = bundle.manifest.workspace, None
        if carried is not None and with_files:
            files = Arriving(bundle, carried, cwd or access.directory, access.home)
        old = bundle.manifest.session
        called = (instead.name, instead.id) if instead else _identity(old, name)
        return import_bundle(
            access, bundle, called=called, cwd=cwd, own=own, files=files, workflow=workflow
        )


def restore_session(access: Access, argument: str, name: str | None = None) -> SessionInfo:
    """Bring back the last deleted session of a name or id, after those that its runs called: a run
    that goes on finds them. Raises SessionNotFoundError and what `import_session` raises.
    """
    deleted = find_deleted(access.home, argument)
    for called in called_by_deleted(access.home, deleted):
        _bring_back(access, called)
    return _bring_back(access, deleted, name)


def _bring_back(access: Access, deleted: Deleted, name: str | None = None) -> SessionInfo:
    info = import_session(access, deleted.path, name, own=True)
    ref = SessionRef(info.adapter, info.id)
    with access.ledger(read_only=True) as ledger:
        out_of_trash(keepers_of(ledger, ref), deleted.path, ref)
    RewindLog.of_deleted(deleted.path).move(RewindLog.of(access.home, ref))
    remove(deleted)
    return info


def export_bundle(
    target: Path,
    *,
    info: SessionInfo,
    archive: SessionArchive,
    ledger: Ledger,
    cleaner: Cleaner | None = None,
    workspace: tuple[CarriedFiles, Path] | None = None,
    steady: bool = False,
    opened: Opened = replacing,
) -> None:
    """Write a session's bundle, without secrets where there is a `cleaner`; `opened` as in
    `write_bundle`.

    Raises SessionUnusableError, StoreError.
    """
    rows = take_rows(ledger, SessionRef(info.adapter, info.id))
    workflows = {}
    paths = {run["workflow_path"] for run in rows.runs if run["workflow_path"]}
    texts = {path: workflow_text(Path(path)) for path in paths}
    for run in rows.runs:
        if text := texts.get(run["workflow_path"]) or run["workflow_text"]:
            workflows[run["id"]] = text
    if cleaner is not None and info.summary:
        info = msgspec.structs.replace(info, summary=cleaner.text(info.summary))
    write_bundle(
        target,
        info=info,
        files=archive.files(info.id),
        rows=rows,
        workflows=workflows,
        cleaner=cleaner,
        workspace=workspace,
        steady=steady,
        opened=opened,
    )


@names_a_session
def import_bundle(
    access: Access,
    bundle: Bundle,
    *,
    called: tuple[str | None, str] | None = None,
    cwd: Path | None = None,
    own: bool = False,
    files: Arriving | None = None,
    workflow: Path | None = None,
) -> SessionInfo:
    """Make a session of a bundle as `import_session` does; nothing is left when that fails.

    `called` are its name and id, else the old ones. Raises what that and `SessionLock` raise.
    """
    old, home = bundle.manifest.session, access.home
    label, session_id = called or _identity(old)
    same = (label, session_id) == (old.name, old.id)
    ref = SessionRef(bundle.manifest.adapter, session_id)
    archive = access.archive(ref.adapter)
    with access.ledger() as ledger, ExitStack() as held, ExitStack() as undoing:
        taken = [entry.info for entry in all_entries(access, ref.adapter)]
        refuse_taken(taken, session_id, label or session_id, hint=_OTHER_NAME)
        found = bundle.rows() if own else _foreign(access, bundle, label, files, same=same)
        held.enter_context(SessionLock.acquire(home, ref))
        paths = place_workflows(bundle, home, ref.adapter, label or session_id, workflow)
        undoing.callback(remove_unused, home, paths.values(), ledger)
        tree = None if files is None else files.arrive(ref, label or session_id, undoing)
        place = tree.folder if tree is not None else cwd and cwd.resolve()
        folder = str(place) if place is not None else old.cwd
        try:
            rows = moved(
                found,
                old_id=old.id,
                new=ref,
                name=None if same else label,
                cwd=(old.cwd, folder) if old.cwd and folder else None,
                workflows=paths,
            )
            rows = rows if tree is None else tree.settled(rows)
        except KeyError as error:
            raise BundleError(f"{bundle.path}: the ledger's rows miss {error}") from error
        unchanged = own and same and cwd is None
        _write(bundle, archive, ledger, ref, rows, label, folder, unchanged=unchanged)
        undoing.pop_all()
    return archive.get(session_id) or old


def _foreign(
    access: Access, bundle: Bundle, name: str | None, files: Arriving | None, *, same: bool
) -> SessionRows:
    """The rows of somebody else's bundle: without what they allowed, and without snapshots that did
    not come along. Its `name`, and those that stay as it is the `same`, are checked.
    """
    try:
        rows = without_permissions(bundle.rows())
    except (KeyError, TypeError, msgspec.MsgspecError) as error:
        raise BundleError(f"{bundle.path}: a run's options are damaged: {error}") from error
    names = {name, *(run.get("session_name") for run in rows.runs if same)}
    for each in filter(None, names):
        if problem := name_problem(each):
            raise BundleError(f"{bundle.path}: the session name {each!r} {problem}")
        refuse_secret_name(each, access.environment, hint=_OTHER_NAME)
    return rows if files is not None else without_snapshots(rows)


def _write(
    bundle: Bundle,
    archive: SessionArchive,
    ledger: Ledger,
    ref: SessionRef,
    rows: SessionRows,
    name: str | None,
    cwd: str | None,
    *,
    unchanged: bool,
) -> None:
    """Rows, then files: there is no session before its rows are on disk. An import that is cut off
    in between can be made again, and its rows are none of another session.
    """
    staged = archive.stage()
    try:
        bundle.unpack(staged)
        with ledger.database.write("ledger.import") as connection:
            put_unsettled(connection, ref)
            if not unchanged:
                set_aside(connection, ref, name or ref.id, but={run["id"] for run in rows.runs})
            try:
                ids = put_rows(connection, rows)
            except ValueError as error:
                raise BundleError(f"{bundle.path}: {error}") from error
            put_session(connection, ref, name=name, cwd=cwd, created_at=datetime.now(UTC))
        try:
            archive.install(staged, ref.id, name=name, cwd=cwd, unchanged=unchanged)
        except BaseException:
            with ledger.database.write("ledger.import") as connection:
                remove_runs(connection, ids)
            settle(ledger, ref)
            raise
        settle(ledger, ref)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _identity(old: SessionInfo, name: str | None = None) -> tuple[str | None, str]:
    """The name and the id of the new session: the old ones unless another name is wanted."""
    if name is not None:
        if problem := name_problem(name):
            raise UsageError(f"the session name {name!r} {problem}")
        return name, session_id_for(name)
    if not is_session_id(old.id):
        raise BundleError(f"the bundle's session id {old.id!r} is none")
    if old.name is not None and name_problem(old.name):
        raise BundleError(f"the bundle's session name {old.name!r} {name_problem(old.name)}")
    return old.name, old.id


def _step_digests(run: Row, text: str) -> list[tuple[str, str]]:
    """The paths and digests of the steps that a run makes of a text; none of what is no workflow.

    `run` is its row in the ledger.
    """
    wanted = decode_options(run["options"])
    workflow = parse_workflow(text, run["workflow_path"] or "").workflow
    if workflow is None:
        return []
    try:
        plan = build_plan(workflow, wanted)
    except SdqctlError:
        return []
    return [(step.path, step.digest) for step in plan.every_step()]

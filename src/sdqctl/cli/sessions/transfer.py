"""What `sessions export`, `import`, `restore` and `trash` do. Knows no click."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdqctl.cli.output import counted, is_terminal, note, write_data, write_json, write_line
from sdqctl.cli.sessions.list import all_entries
from sdqctl.cli.table import Cell, Column, age, iso, print_rows
from sdqctl.errors import SdqctlError, StoreError, UsageError
from sdqctl.text.terminal import one_line, sanitize

if TYPE_CHECKING:
    from sdqctl.adapters.base import SessionArchive
    from sdqctl.cli.context import App
    from sdqctl.model.session import SessionInfo
    from sdqctl.model.workflow import Workflow
    from sdqctl.sessions.trash import Deleted

_SUFFIXES = {
    "": "md",
    ".md": "md",
    ".markdown": "md",
    ".txt": "md",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".jsonl": "jsonl",
    ".sdqctl": "bundle",
    ".zip": "bundle",
}
_COLUMNS = (Column("NAME", shrinks=True), Column("DELETED"), Column("SIZE"), Column("ADAPTER"))


def export_session(
    app: App,
    argument: str,
    adapter: str | None,
    output_format: str | None,
    output: Path | None,
    *,
    with_secrets: bool = False,
) -> None:
    """Write a session in a format to stdout or a file, without its secrets.

    Raises UsageError, StoreError.
    """
    from sdqctl.sessions.export import exported, gather, without_secrets
    from sdqctl.sessions.resolve import resolve_session
    from sdqctl.store.redact import Redactor

    output_format = output_format or _format_of(output)
    if with_secrets and output_format != "bundle":
        raise UsageError("--with-secrets is for bundles", hint="say --format bundle -o FILE")

    entries = all_entries(app, adapter)
    info = resolve_session(argument, [entry.info for entry in entries])
    entry = next(e for e in entries if e.info is info)
    archive = app.archive(info.adapter)
    if output_format == "bundle":
        if output is None:
            raise UsageError("a bundle is a file: say where with -o FILE")
        _export_bundle(app, info, archive, output, with_secrets=with_secrets)
        note(f"exported {one_line(info.label)} to {output}")
        return
    with app.ledger(read_only=True) as ledger:
        found = gather(entry, archive, ledger)
    text = exported(without_secrets(found, Redactor(app.environment)), output_format)
    if output_format == "md":
        text = sanitize(text)
    if output is None:
        write_data(text.encode("utf-8", "surrogatepass"))
        return
    _write_file(output, text)
    note(f"exported {one_line(info.label)} to {output}")


def _format_of(output: Path | None) -> str:
    """The format that a file's suffix says. Raises UsageError for one that says none."""
    suffix = output.suffix.lower() if output is not None else ""
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{output}: the suffix {suffix} says no format",
            hint="say --format md, html, json, jsonl or bundle",
        )
    return _SUFFIXES[suffix]


def _export_bundle(
    app: App, info: SessionInfo, archive: SessionArchive, output: Path, *, with_secrets: bool
) -> None:
    from sdqctl.sessions.redaction import Cleaner
    from sdqctl.sessions.transfer import export_bundle
    from sdqctl.store.redact import Redactor

    cleaner = None if with_secrets else Cleaner(Redactor(app.environment), step_digests)
    with app.ledger() as ledger:
        export_bundle(
            output,
            info=info,
            archive=archive,
            ledger=ledger,
            read_workflow=workflow_text,
            cleaner=cleaner,
        )
    if cleaner is None:
        return
    for name in cleaner.left_out:
        note(f"warning: {one_line(name)} is left out: it cannot be looked through, or has a secret")
    if cleaner.changed:
        note(
            "what looks like a secret is not in the bundle, nor in the steps that are still to "
            "run; --with-secrets carries the session whole"
        )


def import_session(
    app: App, file: Path, name: str | None, cwd: Path | None, *, own: bool = False
) -> SessionInfo:
    """Make a session of a bundle, of one's `own` with what its runs were allowed.

    Raises BundleError, SessionExistsError, UsageError.
    """
    from sdqctl.sessions.bundle import Bundle
    from sdqctl.sessions.transfer import import_bundle

    if cwd is not None and not cwd.is_dir():
        raise UsageError(f"--cwd {cwd}: there is no such folder")
    with Bundle.open(file) as bundle, app.ledger() as ledger:
        adapter = bundle.manifest.adapter
        info = import_bundle(
            bundle,
            archive=app.archive(adapter),
            ledger=ledger,
            home=app.settings.home,
            taken=[entry.info for entry in all_entries(app, adapter)],
            read_workflow=workflow_text,
            name=name,
            cwd=cwd,
            own=own,
        )
    write_line(one_line(info.label))
    if info.cwd is not None and not Path(info.cwd).is_dir():
        note(f"its working directory is not here: {info.cwd}; resume it with --cwd DIR")
    if not own:
        note(f"imported; `sdqctl resume {shlex.quote(one_line(info.label))}` goes on in it")
    return info


def restore_session(app: App, argument: str, name: str | None) -> None:
    """Bring a deleted session back from the trash."""
    from sdqctl.sessions.trash import deleted_sessions, find_deleted

    entry = find_deleted(deleted_sessions(app.settings.home), argument)
    import_session(app, entry.path, name, None, own=True)
    entry.path.unlink(missing_ok=True)
    note("restored")


def list_trash(app: App, *, as_json: bool) -> None:
    """Show what can be restored."""
    from sdqctl.sessions.trash import deleted_sessions

    found = deleted_sessions(app.settings.home)
    if as_json:
        write_json([_trash_object(entry) for entry in found])
        return
    as_table = is_terminal()
    rows = [_trash_row(entry, as_table=as_table) for entry in found]
    print_rows(_COLUMNS if as_table else (), rows, as_table=as_table)
    note(f"{counted(len(found), 'deleted session')}, {_size(sum(e.size for e in found))}")


def empty_trash(app: App, older_than: float, *, force: bool) -> None:
    """Remove what was deleted longer ago than `older_than` seconds, for good."""
    import sys

    from sdqctl.sessions.trash import deleted_sessions

    now = datetime.now(UTC)
    going = [
        entry
        for entry in deleted_sessions(app.settings.home)
        if (now - entry.deleted_at).total_seconds() >= older_than
    ]
    if not force and not sys.stdin.isatty():
        raise UsageError("without a terminal nothing is removed unasked", hint="say --force")
    if going and not force:
        sys.stderr.write(f"Remove {counted(len(going), 'deleted session')} for good? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            note("nothing was removed")
            return
    for entry in going:
        entry.path.unlink(missing_ok=True)
        write_line(one_line(entry.label))
    note(f"{counted(len(going), 'deleted session')} removed for good")


def workflow_text(path: Path) -> str | None:
    """A workflow file's text with its includes resolved, None when it cannot be read."""
    from sdqctl.workflow import load_workflow

    try:
        workflow = load_workflow(path).workflow
    except SdqctlError:
        return None
    return None if workflow is None else whole_text(workflow)


def whole_text(workflow: Workflow) -> str:
    """A workflow's text with its includes resolved."""
    from sdqctl.workflow.format import format_workflow

    includes = re.search(r"^INCLUDE\b", workflow.source, re.MULTILINE)
    return format_workflow(workflow) if includes else workflow.source


def step_digests(run: Mapping[str, Any], text: str) -> list[str]:
    """The digests of the steps that a run makes of a workflow's text; none of a text that is none.

    `run` is its row in the ledger.
    """
    from sdqctl.engine.options import decode_options
    from sdqctl.workflow.parser import parse_workflow
    from sdqctl.workflow.plan import PlanOptions, build_plan

    options = decode_options(run["options"])
    workflow = parse_workflow(text, run["workflow_path"] or "").workflow
    if workflow is None:
        return []
    wanted = PlanOptions(
        cycles=options.cycles,
        session_mode=options.session_mode,
        prologues=options.prologues,
        epilogues=options.epilogues,
    )
    try:
        plan = build_plan(workflow, wanted)
    except SdqctlError:
        return []
    return [step.digest for step in plan.steps]


def _trash_object(entry: Deleted) -> dict[str, object]:
    info = entry.info
    return {
        "name": info.name if info else None,
        "id": info.id if info else None,
        "adapter": info.adapter if info else None,
        "deleted_at": entry.deleted_at,
        "size": entry.size,
        "file": str(entry.path),
    }


def _trash_row(entry: Deleted, *, as_table: bool) -> list[Cell]:
    when = age(entry.deleted_at) if as_table else iso(entry.deleted_at)
    size = _size(entry.size) if as_table else str(entry.size)
    adapter = entry.info.adapter if entry.info else "unreadable"
    return [Cell(entry.label), Cell(when), Cell(size), Cell(adapter)]


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _write_file(path: Path, text: str) -> None:
    from sdqctl.fs import write_private

    if not path.absolute().parent.is_dir():
        raise StoreError(f"{path} cannot be written: there is no folder {path.parent}")
    write_private(path.absolute(), text.encode("utf-8", "surrogatepass"))

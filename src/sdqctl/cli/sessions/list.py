"""What `sessions list` and `status --sessions` do. Knows no click."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from sdqctl.cli.output import counted, is_terminal, note, write_json
from sdqctl.cli.table import Cell, Column, age, iso, print_rows
from sdqctl.sessions.query import (
    Entry,
    Listed,
    Query,
    count_wanted,
    entry_object,
    read_entries,
    select,
)

if TYPE_CHECKING:
    from sdqctl.adapters.base import SessionArchive
    from sdqctl.cli.context import App
    from sdqctl.model.session import Holder, SessionInfo

_OLD = 30 * 86_400.0
_COLOURS = {
    "running": "blue",
    "completed": "green",
    "failed": "red",
    "interrupted": "yellow",
    "paused": "yellow",
    "idle": "dim",
}
_COLUMNS = (
    Column("NAME", shrinks=True, least=24),
    Column("STATUS"),
    Column("AGE"),
    Column("REMOTE", dropped=1),
    Column("RUN", dropped=3),
    Column("CWD", shrinks=True, least=12, dropped=2),
)


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """What `sessions list` was asked for."""

    pattern: str | None = None
    status: str | None = None
    here: bool = False
    repository: str | None = None
    branch: str | None = None
    older_than: float | None = None
    newer_than: float | None = None
    sort: str = "-modified"
    limit: int | None = None
    adapter: str | None = None
    verbose: bool = False
    output_format: str | None = None


def list_sessions(app: App, request: ListRequest) -> None:
    """Print the sessions that are wanted. Raises UsageError for an unknown field or adapter."""
    now = datetime.now(UTC)
    with_tokens = request.output_format == "json" or request.sort.removeprefix("-") == "tokens"
    entries = all_entries(app, request.adapter, with_tokens=with_tokens, verbose=request.verbose)
    query = Query(
        pattern=request.pattern,
        status=request.status,
        here=project_folder(app.directory) if request.here else None,
        repository=request.repository,
        branch=request.branch,
        older_than=request.older_than,
        newer_than=request.newer_than,
        sort=request.sort,
        limit=request.limit,
    )
    found = select(entries, query, now)
    if request.output_format == "json":
        write_json(entry_objects(app, found))
        return
    as_table = is_terminal() if request.output_format is None else request.output_format == "table"
    if as_table:
        print_table(found, now)
        _print_footer(found, entries, now)
    else:
        print_rows((), [_tsv(entry) for entry in found], as_table=False)


def all_entries(
    app: App, adapter: str | None = None, *, with_tokens: bool = False, verbose: bool = False
) -> list[Entry]:
    """Every session on disk, with its state, and with the tokens that its runs used.

    Where a runtime keeps them in a way that is not known here, the runtime itself is asked.
    """
    from sdqctl.store.locks import holders

    archives: list[Listed] = []
    for name, archive in app.archives(adapter).items():
        if archive.layout_is_unknown():
            if verbose:
                note(f"the {name} runtime keeps its sessions in an unknown way; it is asked itself")
            archives.append(_AskedRuntime(app, archive))
        else:
            archives.append(archive)
    with app.ledger(read_only=True) as ledger:
        entries = read_entries(archives, ledger, holders(app.settings.home))
        if not with_tokens:
            return entries
        from sdqctl.store.usage import tokens_by_session

        tokens = tokens_by_session(ledger)
        return [replace(entry, tokens=tokens.get(entry.ref, 0)) for entry in entries]


class _AskedRuntime:
    """The sessions that a runtime tells of itself, through its SDK."""

    def __init__(self, app: App, archive: SessionArchive) -> None:
        self._app = app
        self._archive = archive

    def sessions(self) -> list[SessionInfo]:
        """All of them; starts the runtime."""
        import asyncio

        async def ask() -> list[SessionInfo]:
            async with self._app.adapter(self._archive.name) as adapter:
                return list(await adapter.list_sessions())

        return asyncio.run(ask())

    def holder(self, session_id: str) -> Holder | None:
        """The process that has it open."""
        return self._archive.holder(session_id)


def entry_objects(app: App, entries: list[Entry]) -> list[dict[str, object]]:
    """Sessions as JSON shows them, with their turns counted, and without secrets."""
    archives = app.archives()
    entries = _without_secrets(app, entries)
    return [
        entry_object(entry, archives[entry.info.adapter].count_turns(entry.info.id))
        for entry in entries
    ]


def _without_secrets(app: App, entries: list[Entry]) -> list[Entry]:
    """Their summaries are the beginnings of prompts. All are looked through at once."""
    from sdqctl.store.redact import Redactor

    redact = Redactor(app.environment)
    texts = [entry.info.summary or "" for entry in entries]
    clean = redact("\0".join(texts)).split("\0")
    if clean == texts:
        return entries
    if len(clean) != len(texts):
        clean = [redact(text) for text in texts]
    return [
        replace(entry, info=structs.replace(entry.info, summary=summary or None))
        for entry, summary in zip(entries, clean, strict=True)
    ]


def print_table(entries: list[Entry], now: datetime) -> None:
    """The sessions as a table for a person."""
    if entries:
        print_rows(_COLUMNS, [_row(entry, now) for entry in entries], as_table=True)
    else:
        note("no sessions")


def _print_footer(found: list[Entry], entries: list[Entry], now: datetime) -> None:
    if len(found) < len(entries):
        note(f"{len(found)} of {len(entries)} sessions shown")
    old = count_wanted(entries, Query(older_than=_OLD), now)
    if old:
        verb = "is" if old == 1 else "are"
        note(
            f"{counted(old, 'session')} {verb} older than 30 days; "
            "`sdqctl sessions cleanup --older-than 30d --dry-run` "
            "shows what could go"
        )


def _row(entry: Entry, now: datetime) -> list[Cell]:
    info = entry.info
    return [
        Cell(info.label),
        Cell(entry.status + (", kept" if entry.kept else ""), colour=_COLOURS[entry.status]),
        Cell(age(entry.modified, now)),
        Cell("yes" if info.is_remote else "no"),
        Cell(_progress(entry)),
        Cell(_short(info.cwd)),
    ]


def _tsv(entry: Entry) -> list[Cell]:
    info = entry.info
    values = (
        info.label,
        info.id,
        entry.status.value,
        iso(entry.modified),
        "yes" if info.is_remote else "no",
        _progress(entry),
        info.client or "",
        info.adapter,
        info.cwd or "",
        "kept" if entry.kept else "",
    )
    return [Cell(value) for value in values]


def _progress(entry: Entry) -> str:
    run = entry.run
    return f"{run.steps_done}/{run.steps_total}" if run is not None else "-"


def _short(cwd: str | None) -> str:
    if cwd is None:
        return "-"
    home = os.path.expanduser("~")
    return "~" + cwd[len(home) :] if cwd == home or cwd.startswith(home + "/") else cwd


def project_folder(folder: Path) -> Path:
    """The root of the git repository around a folder, else the folder itself."""
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists():
            return candidate
    return folder

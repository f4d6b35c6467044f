"""What `sessions delete` and `sessions cleanup` do. Knows no click."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, is_terminal, note, write_json, write_line
from sdqctl.cli.sessions.list import all_entries, print_table
from sdqctl.errors import (
    InterruptedRunError,
    SdqctlError,
    SessionBusyError,
    SessionUnusableError,
    UsageError,
)
from sdqctl.sessions.delete import Deletion, delete_entries, spare
from sdqctl.sessions.query import Entry, Query, select
from sdqctl.sessions.resolve import resolve_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdqctl.cli.context import App
    from sdqctl.store.ledger import Ledger

_QUIET_SECONDS = 1.0
_BAR = 30


@dataclass(frozen=True, kw_only=True)
class DeleteRequest:
    """What is to go. `cleanup` spares what nobody asked to delete."""

    names: tuple[str, ...]
    query: Query
    adapter: str | None
    dry_run: bool
    force: bool
    as_json: bool
    purge: bool = False
    cleanup: bool = False
    all_clients: bool = False
    include_unfinished: bool = False


def delete_sessions(app: App, request: DeleteRequest) -> None:
    """Delete, after asking on a terminal. Raises the error of the first session that stayed."""
    chosen = _chosen(request, all_entries(app, request.adapter))
    staying: list[tuple[Entry, str]] = []
    if request.cleanup:
        with app.ledger(read_only=True) as ledger:
            kept, unfinished = ledger.kept_sessions(), ledger.unfinished_sessions()
        chosen, staying = spare(
            chosen,
            kept=kept,
            unfinished=unfinished,
            all_clients=request.all_clients,
            include_unfinished=request.include_unfinished,
        )
        for entry, reason in staying:
            note(f"kept: {one_line(entry.info.label)}: {reason}")
    else:
        _refuse_in_use(chosen)
    if request.dry_run:
        _print_result(request, chosen, [])
        note(f"{counted(len(chosen), 'session')} would be deleted; nothing was (--dry-run)")
        return
    if not chosen:
        _print_result(request, [], [])
        note("nothing to delete")
        return
    _ask(request, chosen)
    result = _delete(app, chosen, request)
    if request.as_json:
        _print_result(request, result.deleted, result.failed)
    note(f"{counted(len(result.deleted), 'session')} deleted")
    _tell_what_stays(request, result)
    if result.failed:
        _raise_first(result)


def saved_by(app: App, ledger: Ledger) -> Callable[[Entry], None]:
    """A function that puts a session into the trash. One without any file has nothing to save."""
    from sdqctl.cli.sessions.transfer import workflow_text
    from sdqctl.sessions.transfer import export_bundle
    from sdqctl.sessions.trash import trash_file

    def save(entry: Entry) -> None:
        try:
            export_bundle(
                trash_file(app.settings.home, entry.info),
                info=entry.info,
                archive=app.archive(entry.info.adapter),
                ledger=ledger,
                read_workflow=workflow_text,
            )
        except SessionUnusableError as error:
            note(f"warning: {one_line(entry.info.label)} is not in the trash: {error.message}")

    return save


def _tell_what_stays(request: DeleteRequest, result: Deletion) -> None:
    if result.deleted and not request.purge:
        note("`sdqctl sessions restore NAME` brings a deleted session back")
    if not any(entry.info.adapter == "copilot" for entry in result.deleted):
        return
    if request.purge:
        note("the Copilot runtime's own session-store.db does not hold their text any more")
    else:
        note(
            "the Copilot runtime keeps the text of their turns in its own session-store.db; "
            "--purge removes it there, too; `history_store = false` in your sdqctl.toml keeps "
            "new sessions out of it"
        )


def _chosen(request: DeleteRequest, entries: list[Entry]) -> list[Entry]:
    query = request.query
    filtered = any(v is not None for v in (query.pattern, query.older_than, query.newer_than))
    if request.names:
        infos = [entry.info for entry in entries]
        wanted = {id(resolve_session(name, infos, whole=True)) for name in request.names}
        entries = [entry for entry in entries if id(entry.info) in wanted]
    elif not filtered:
        raise UsageError("say which sessions: names, --filter or --older-than")
    return select(entries, query, datetime.now(UTC))


def _refuse_in_use(chosen: list[Entry]) -> None:
    for entry in chosen:
        if entry.holder is not None:
            raise SessionBusyError(
                f"session {entry.info.label!r} is in use by {entry.holder.describe()}",
                hint="end it there first; nothing was deleted",
            )


def _ask(request: DeleteRequest, chosen: list[Entry]) -> None:
    if request.force:
        return
    if not (sys.stdin.isatty() and is_terminal(sys.stderr)):
        if request.cleanup:
            return
        raise UsageError(
            "without a terminal nothing is deleted unasked",
            hint="say --force, or --dry-run to see what would go",
        )
    print_table(chosen, datetime.now(UTC))
    sys.stdout.flush()
    verb, where = ("Delete", "for good") if request.purge else ("Move", "to the trash")
    sys.stderr.write(f"{verb} {counted(len(chosen), 'session')} {where}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InterruptedRunError("nothing was deleted")


def _delete(app: App, chosen: list[Entry], request: DeleteRequest) -> Deletion:
    named = is_terminal() and not request.as_json
    progress = _Progress(len(chosen), wanted=is_terminal(sys.stderr) and not named)

    def told(entry: Entry) -> None:
        progress.step()
        if not request.as_json:
            write_line(one_line(entry.info.label))

    async def work() -> Deletion:
        total = Deletion()
        with app.ledger() as ledger:
            for name in sorted({entry.info.adapter for entry in chosen}):
                async with app.adapter(name) as adapter:
                    part = await delete_entries(
                        [entry for entry in chosen if entry.info.adapter == name],
                        home=app.settings.home,
                        adapter=adapter,
                        archive=app.archive(name),
                        ledger=ledger,
                        told=told,
                        save=None if request.purge else saved_by(app, ledger),
                    )
                total.deleted += part.deleted
                total.failed += part.failed
        return total

    import asyncio

    try:
        return asyncio.run(work())
    finally:
        progress.end()


class _Progress:
    """A bar on a terminal's stderr, when it takes longer than a second."""

    def __init__(self, total: int, *, wanted: bool) -> None:
        self._total = total
        self._done = 0
        self._begun = time.monotonic()
        self._wanted = wanted

    def step(self) -> None:
        """One more is gone."""
        self._done += 1
        if self._wanted and time.monotonic() - self._begun > _QUIET_SECONDS:
            filled = round(_BAR * self._done / self._total)
            bar = "█" * filled + "·" * (_BAR - filled)
            sys.stderr.write(f"\r{bar} {self._done} of {self._total}")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the bar away."""
        if self._wanted and time.monotonic() - self._begun > _QUIET_SECONDS:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _print_result(
    request: DeleteRequest, entries: list[Entry], failed: list[tuple[Entry, SdqctlError]]
) -> None:
    if request.as_json:
        write_json(
            {
                "dry_run": request.dry_run,
                "sessions": [
                    {"id": e.info.id, "name": e.info.name, "adapter": e.info.adapter}
                    for e in entries
                ],
                "failed": [
                    {"id": entry.info.id, "code": error.code, "message": error.message}
                    for entry, error in failed
                ],
            }
        )
        return
    for entry in entries:
        write_line(one_line(entry.info.label))


def _raise_first(result: Deletion) -> None:
    for entry, error in result.failed[1:]:
        note(f"error: {one_line(entry.info.label)}: {error.message}")
    raise result.failed[0][1]

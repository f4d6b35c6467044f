"""`sdqctl sessions delete` and `cleanup`: they ask, and say what went."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import DURATION, adapter_option, examples, filter_options, format_option
from sdqctl.cli.output import counted, is_terminal, note, write_json, write_line
from sdqctl.cli.sessions.list import print_table
from sdqctl.errors import InterruptedRunError, SdqctlError, UsageError
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.views.session import DeletionView
    from sdqctl.sessions.choosing import Choice
    from sdqctl.sessions.delete import Deletion
    from sdqctl.sessions.query import Entry

_QUIET_SECONDS = 1.0
_BAR = 30
_Function = TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How sessions are deleted. `asks`: without a terminal nothing is deleted unasked."""

    dry_run: bool
    purge: bool
    force: bool
    output_format: str
    asks: bool = True

    @property
    def as_json(self) -> bool:
        """Whether the result is data."""
        return self.output_format == "json"


def _way_options(function: _Function) -> _Function:
    """The options of both commands, which are the fields of `_Way`, and --adapter."""
    for option in (
        format_option("text", "json"),
        adapter_option,
        click.option("--force", is_flag=True, help="Do not ask."),
        click.option("--purge", is_flag=True, help="Also from the runtime's own full-text store."),
        click.option("--dry-run", is_flag=True, help="Show what would go; delete nothing."),
    ):
        function = option(function)
    return function


@click.command(
    epilog=examples(
        "sdqctl sessions delete audit-1",
        "sdqctl sessions delete --filter 'try-*' --older-than 7d --dry-run",
    )
)
@click.argument("names", metavar="[SESSION]...", nargs=-1, shell_complete=complete_session)
@filter_options
@_way_options
@click.pass_obj
def delete(
    app: App,
    /,
    names: tuple[str, ...],
    pattern: str | None,
    older_than: float | None,
    newer_than: float | None,
    adapter: str | None,
    **options: Any,  # noqa: ANN401 - the fields of _Way
) -> None:
    """Delete sessions, by whole name or id, or by filter. One in use is refused (exit 75)."""
    from sdqctl.sessions import choosing, query

    wanted = query.Query(pattern=pattern, older_than=older_than, newer_than=newer_than)
    _delete(app, _Way(**options), choosing.choose_named(app, names, wanted, adapter))


@click.command(
    epilog=examples(
        "sdqctl sessions cleanup --older-than 30d --dry-run",
        "sdqctl sessions cleanup --older-than 7d --filter 'nightly-*' --force",
    )
)
@click.option("--older-than", type=DURATION, required=True, metavar="DUR", help="30m, 24h, 7d.")
@click.option("--filter", "pattern", metavar="GLOB", help="Only these names or ids.")
@click.option("--all-clients", is_flag=True, help="Also sessions that sdqctl did not make.")
@click.option("--include-unfinished", is_flag=True, help="Also those with an unfinished run.")
@_way_options
@click.pass_obj
def cleanup(
    app: App,
    /,
    older_than: float,
    pattern: str | None,
    all_clients: bool,
    include_unfinished: bool,
    adapter: str | None,
    **options: Any,  # noqa: ANN401 - the fields of _Way
) -> None:
    """Delete sessions by age, but for those in use, of other programs, or with an open run."""
    from sdqctl.sessions import choosing, query

    rules = choosing.Cleanup(all_clients=all_clients, include_unfinished=include_unfinished)
    wanted = query.Query(pattern=pattern, older_than=older_than)
    choice = choosing.choose_old(app, wanted, rules, adapter)
    _note_kept(choice.staying)
    _delete(app, _Way(asks=False, **options), choice)


def _delete(app: App, way: _Way, choice: Choice) -> None:
    """Delete what was chosen, if that is wanted, and say what went."""
    from sdqctl.sessions.delete import delete_entries

    if _is_wanted(way, choice.going):
        with _Progress(len(choice.going), as_json=way.as_json) as progress:
            done = delete_entries(app, choice, purge=way.purge, gone=progress.step)
        _report(way, done)


def _note_kept(staying: Iterable[tuple[Entry, str]]) -> None:
    for entry, reason in staying:
        note(f"kept: {one_line(entry.info.label)}: {reason}")


def _is_wanted(way: _Way, chosen: list[Entry]) -> bool:
    """Whether to go on: there is something, and the answer on a terminal was yes."""
    if way.dry_run:
        _print_result(way, chosen, [])
        note(f"{counted(len(chosen), 'session')} would be deleted; nothing was (--dry-run)")
        return False
    if not chosen:
        _print_result(way, [], [])
        note("nothing to delete")
        return False
    _ask(way, chosen)
    return True


def _report(way: _Way, result: Deletion) -> None:
    """Say what went. Raises the error of the first session that stayed."""
    if way.as_json:
        _print_result(way, result.deleted, result.failed)
    for entry, error in result.unsaved:
        note(f"warning: {one_line(entry.info.label)} is not in the trash: {error.message}")
    _note_kept(result.spared)
    note(f"{counted(len(result.deleted), 'session')} deleted")
    for worktree, lost in result.worktrees:
        note(
            f"kept the worktree of {one_line(worktree.session_name)}, in which {one_line(lost)} "
            f"would be lost: {worktree.path}"
        )
    _note_what_stays(way, result)
    for entry, error in result.failed[1:]:
        note(f"error: {one_line(entry.info.label)}: {error.message}")
    if result.failed:
        raise result.failed[0][1]


def _note_what_stays(way: _Way, result: Deletion) -> None:
    if result.deleted and not way.purge:
        note("`sdqctl sessions restore NAME` brings a deleted session back")
    for line in result.stays:
        note(line)


def _ask(way: _Way, chosen: list[Entry]) -> None:
    if way.force:
        return
    if not (sys.stdin.isatty() and is_terminal(sys.stderr)):
        if not way.asks:
            return
        raise UsageError(
            "without a terminal nothing is deleted unasked",
            hint="say --force, or --dry-run to see what would go",
        )
    print_table(chosen, datetime.now(UTC))
    sys.stdout.flush()
    verb, where = ("Delete", "for good") if way.purge else ("Move", "to the trash")
    sys.stderr.write(f"{verb} {counted(len(chosen), 'session')} {where}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InterruptedRunError("nothing was deleted")


class _Progress:
    """What goes, a line each; or a bar on a terminal's stderr, when it takes over a second."""

    def __init__(self, total: int, *, as_json: bool) -> None:
        self._named = not as_json
        self._total = total
        self._done = 0
        self._begun = time.monotonic()
        self._wanted = is_terminal(sys.stderr) and (as_json or not is_terminal())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        if self._wanted and time.monotonic() - self._begun > _QUIET_SECONDS:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def step(self, entry: Entry) -> None:
        """One more is gone."""
        if self._named:
            write_line(one_line(entry.info.label))
        self._done += 1
        if self._wanted and time.monotonic() - self._begun > _QUIET_SECONDS:
            filled = round(_BAR * self._done / self._total)
            bar = "█" * filled + "·" * (_BAR - filled)
            sys.stderr.write(f"\r{bar} {self._done} of {self._total}")
            sys.stderr.flush()


def _print_result(way: _Way, entries: list[Entry], failed: list[tuple[Entry, SdqctlError]]) -> None:
    if way.as_json:
        write_json(_view(way, entries, failed))
        return
    for entry in entries:
        write_line(one_line(entry.info.label))


def _view(way: _Way, entries: list[Entry], failed: list[tuple[Entry, SdqctlError]]) -> DeletionView:
    from sdqctl.model.views.session import DeletedView, DeletionView, UndeletedView

    return DeletionView(
        dry_run=way.dry_run,
        sessions=[
            DeletedView(id=entry.info.id, name=entry.info.name, adapter=entry.info.adapter)
            for entry in entries
        ],
        failed=[
            UndeletedView(id=entry.info.id, code=error.code, message=error.message)
            for entry, error in failed
        ],
    )

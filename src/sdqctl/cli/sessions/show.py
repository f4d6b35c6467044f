"""`sdqctl sessions show`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import adapter_option, examples, format_option
from sdqctl.cli.output import counted, is_terminal, note, write, write_json, write_line
from sdqctl.cli.table import Cell, Column, age, iso, print_rows, print_values
from sdqctl.errors import UsageError
from sdqctl.text.commands import on_session
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import between_words, one_line, sanitize

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.audit import ToolRecord
    from sdqctl.model.run import CalledRun, StepRecord
    from sdqctl.sessions.detail import SessionDetail
    from sdqctl.sessions.files import StepFiles

_PREVIEW = 100
_TARGET = 160
"""Columns of a target; longer ones are cut between words."""
_MOST_LISTED = 10
_COLUMNS = (
    Column("WHEN"),
    Column("STEP"),
    Column("DECISION"),
    Column("KIND"),
    Column("TARGET", shrinks=True),
    Column("BY", shrinks=True),
    Column("REASON", shrinks=True),
)


@click.command(
    epilog=examples("sdqctl sessions show audit-1", "sdqctl sessions show audit-1 --transcript")
)
@click.argument("session", shell_complete=complete_session)
@click.option("--transcript", is_flag=True, help="The whole conversation.")
@click.option("--audit", is_flag=True, help="Every tool request: what decided it, and why.")
@adapter_option
@format_option("text", "json")
@click.pass_obj
def show(
    app: App,
    /,
    session: str,
    transcript: bool,
    audit: bool,
    adapter: str | None,
    output_format: str,
) -> None:
    """Show SESSION: its state, its runs with their steps, its turns.

    Columns of --audit in a pipe: time (ISO), run, step, tool, kind, target, allowed or refused,
    what decided, reason, source (policy, hook, user, net, journal).
    """
    from sdqctl.sessions import detail, export

    if transcript and audit:
        raise UsageError("--transcript and --audit are two views; give one of them")
    found = detail.read_detail(app, session, adapter)
    info = found.entry.info
    if info.damage or found.why:
        note(f"warning: session {info.label}: {info.damage or found.why}")
        if found.why and found.turns:
            note("the turns shown are those that the ledger kept")
    if output_format == "json":
        write_json(export.session_view(found, with_audit=audit))
    elif audit:
        _print_audit(found.requests)
    elif transcript:
        _page(export.exported(found, "md"))
    else:
        _print_text(found)
        _print_refused(found.requests, info.label)


def _print_text(found: SessionDetail) -> None:
    entry, turns = found.entry, found.turns
    info = entry.info
    facts = {
        "name": info.name or "-",
        "id": info.id,
        "adapter": info.adapter,
        "status": entry.status.value,
        "in use by": entry.holder.describe() if entry.holder else None,
        "kept": "yes: cleanup leaves it alone" if entry.kept else None,
        "started": f"{iso(info.start_time)} ({age(info.start_time)})",
        "modified": f"{iso(entry.modified)} ({age(entry.modified)})",
        "remote": "yes" if info.is_remote else "no",
        "client": info.client,
        "model": info.model or (entry.run.model if entry.run else None),
        "cwd": info.cwd,
        "repository": info.repository,
        "branch": info.branch,
        "turns": str(len(turns)),
        "used": _used(found),
    }
    for name, value in facts.items():
        if value is not None:
            write_line(f"{name + ':':<12}{one_line(value)}")
    changed = {(each.run_id, each.path): each for each in found.files}
    for tree, steps in found.runs:
        _print_run(tree, steps, changed)
    if turns:
        last = turns[-1]
        write_line()
        write_line(f"last prompt:  {one_line(last.prompt, _PREVIEW)}")
        answer = last.response if last.finished else last.error or "interrupted"
        write_line(f"last answer:  {one_line(answer, _PREVIEW)}")


def _used(found: SessionDetail) -> str:
    usage = found.usage
    tools = sum(len(turn.tools) for turn in found.turns)
    cost = f", cost {usage.cost:g}" if usage.cost else ""
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    return f"{tokens}, {counted(tools, 'tool call')}{cost}"


def _print_run(
    tree: CalledRun, steps: list[StepRecord], changed: Mapping[tuple[str, str], StepFiles]
) -> None:
    run, called = tree.run, {one.run.parent_path: one for one in tree.called}
    write_line()
    name = run.workflow or "a prompt"
    write_line(
        f"run {run.id}: {one_line(name)}, {run.status.value}, "
        f"{run.steps_done} of {run.steps_total} steps done"
    )
    if run.message:
        write_line(f"  {one_line(run.message)}")
    for step in steps:
        took = f" {format_duration(step.seconds)}" if step.seconds is not None else ""
        tries = f", {step.attempts} attempts" if step.attempts > 1 else ""
        tokens = step.usage.input_tokens + step.usage.output_tokens
        took += f", {tokens:,} tokens" if tokens else ""
        title = one_line(step.title)
        write_line(
            f"  {step.path:>3} {step.status.value:<11} {step.kind}: {title}{took}{tries}"
            + (f", failed ({one_line(step.tolerated)}), the run went on" if step.tolerated else "")
        )
        if (files := changed.get((run.id, step.path))) is not None:
            _print_files(files)
        if (one := called.get(step.path)) is not None:
            _print_called(one, 1)


def _print_called(tree: CalledRun, depth: int) -> None:
    """A run that a step calls in a line, and those that it calls itself below it."""
    run = tree.run
    used = f"session {run.session_name or run.session_id}"
    steps = f"{run.steps_done} of {run.steps_total} steps done"
    why = f": {run.message}" if run.message and run.status.unfinished else ""
    line = f"{run.workflow}, {run.status.value}, {steps}, {used}{why}"
    write_line(f"{'':14}{'  ' * depth}{one_line(line)}")
    for one in tree.called:
        _print_called(one, depth + 1)


def _print_files(step: StepFiles) -> None:
    """What a step changed, a line each file; of many the first ones."""
    write_line(f"{'':16}{step.summary}")
    for change in step.files[:_MOST_LISTED]:
        lines = "binary" if change.binary else f"+{change.added} -{change.removed}"
        write_line(f"{'':18}{change.status.value:<9} {one_line(change.path)} {lines}")
    if len(step.files) > _MOST_LISTED:
        write_line(f"{'':18}and {len(step.files) - _MOST_LISTED} more")


def _print_refused(records: Iterable[ToolRecord], label: str) -> None:
    """The refused ones among the tool requests, a line each, and where all are."""
    refused = [record for record in records if not record.allowed]
    if not refused:
        return
    were = "was" if len(refused) == 1 else "were"
    write_line(f"{counted(len(refused), 'tool request')} {were} refused:")
    for record in refused[:_MOST_LISTED]:
        step = f"step {record.path}: " if record.path is not None else ""
        what = between_words(f"{record.kind or record.tool or ''} {record.target}", _TARGET)
        why = f": {one_line(record.reason)}" if record.reason else ""
        write_line(f"  {step}{what}{why}")
    if len(refused) > _MOST_LISTED:
        write_line(f"  and {len(refused) - _MOST_LISTED} more")
    write_line(f"  `{on_session('sessions show', label, '--audit')}` lists all requests")


def _print_audit(records: Sequence[ToolRecord]) -> None:
    """One line a request: a table on a terminal, tab-separated values in a pipe."""
    if not records:
        note("no tool was asked for")
    elif is_terminal():
        print_rows(_COLUMNS, [_shown(record) for record in records], as_table=True)
    else:
        print_values(map(_values, records))


def _shown(record: ToolRecord) -> list[Cell]:
    when = f"{record.time.astimezone():%m-%d %H:%M:%S}" if record.time else "-"
    decision = Cell("allowed") if record.allowed else Cell("refused", colour="red")
    step = "-" if record.path is None else str(record.path)
    kind = record.kind or record.tool or "-"
    plain = (record.target, record.by, "" if record.allowed else record.reason)
    return [Cell(when), Cell(step), decision, Cell(kind), *map(Cell, plain)]


def _values(record: ToolRecord) -> tuple[str, ...]:
    """In the order that the command's help names."""
    return (
        iso(record.time),
        record.run or "",
        "" if record.path is None else str(record.path),
        record.tool or "",
        record.kind or "",
        record.target,
        "allowed" if record.allowed else "refused",
        record.by,
        record.reason,
        record.source,
    )


def _page(text: str) -> None:
    """Print harmless text, through a pager when a terminal is too small for it."""
    shown = sanitize(text)
    lines = shutil.get_terminal_size().lines
    if is_terminal() and shown.count("\n") >= lines and os.environ.get("PAGER") != "cat":
        import pydoc

        pydoc.pager(shown)
        return
    write(shown if shown.endswith("\n") else shown + "\n")

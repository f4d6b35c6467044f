"""What `sessions show` does. Knows no click."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, is_terminal, note, write, write_json, write_line
from sdqctl.cli.runs.refusals import listed
from sdqctl.cli.sessions.audit import print_audit
from sdqctl.cli.sessions.list import all_entries
from sdqctl.cli.table import age, iso
from sdqctl.errors import UsageError
from sdqctl.model.session import Usage
from sdqctl.sessions.audit import audit_of
from sdqctl.sessions.export import gather, session_object, without_secrets
from sdqctl.sessions.query import Entry
from sdqctl.sessions.resolve import resolve_session
from sdqctl.sessions.transcript import as_markdown
from sdqctl.store.redact import Redactor
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import one_line, sanitize

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.session import Turn

_PREVIEW = 100


@dataclass(frozen=True)
class ShowRequest:
    """What of a session is shown."""

    transcript: bool = False
    audit: bool = False
    as_json: bool = False


def show_session(app: App, argument: str, adapter: str | None, request: ShowRequest) -> None:
    """Print one session. Raises SessionNotFoundError, SessionAmbiguousError, UsageError."""
    if request.transcript and request.audit:
        raise UsageError("--transcript and --audit are two views; give one of them")
    entries = all_entries(app, adapter)
    info = resolve_session(argument, [entry.info for entry in entries])
    entry = next(e for e in entries if e.info is info)
    redact = Redactor(app.environment)
    with app.ledger(read_only=True) as ledger:
        found = gather(entry, app.archive(info.adapter), ledger)
        records = audit_of(entry.ref, found.turns, ledger, redact)
    found = without_secrets(found, redact)
    entry = found.entry
    turns, why = found.turns, found.why
    if info.damage or why:
        note(f"warning: session {info.label}: {info.damage or why}")
        if why and turns:
            note("the turns shown are those that the ledger kept")
    if request.as_json:
        document = session_object(found)
        write_json(document | {"audit": records} if request.audit else document)
    elif request.audit:
        print_audit(records)
    elif request.transcript:
        _page(as_markdown(info.label, turns))
    else:
        _print_text(entry, turns, found.runs)
        for line in listed(records, info.label):
            write_line(line)


def _print_text(
    entry: Entry, turns: list[Turn], runs: list[tuple[RunRecord, list[StepRecord]]]
) -> None:
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
        "used": _used(turns),
    }
    for name, value in facts.items():
        if value is not None:
            write_line(f"{name + ':':<12}{one_line(value)}")
    for run, steps in runs:
        _print_run(run, steps)
    if turns:
        last = turns[-1]
        write_line()
        write_line(f"last prompt:  {one_line(last.prompt, _PREVIEW)}")
        answer = last.response if last.finished else last.error or "interrupted"
        write_line(f"last answer:  {one_line(answer, _PREVIEW)}")


def _used(turns: list[Turn]) -> str:
    usage = sum((turn.usage for turn in turns), Usage())
    tools = sum(len(turn.tools) for turn in turns)
    cost = f", cost {usage.cost:g}" if usage.cost else ""
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    return f"{tokens}, {counted(tools, 'tool call')}{cost}"


def _print_run(run: RunRecord, steps: list[StepRecord]) -> None:
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
            f"  {step.position:>3} {step.status.value:<11} {step.kind}: {title}{took}{tries}"
            + (f", failed ({one_line(step.tolerated)}), the run went on" if step.tolerated else "")
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

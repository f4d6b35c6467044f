"""A session as text for people and programs: markdown, HTML, JSON, JSON lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from sdqctl.adapters.base import SessionArchive
from sdqctl.model.run import RunRecord, StepRecord
from sdqctl.model.session import Turn
from sdqctl.sessions.query import Entry, effective_status, entry_object, run_entry, turn_entry
from sdqctl.sessions.redaction import clean_record
from sdqctl.sessions.transcript import as_markdown, read_turns
from sdqctl.store.ledger import Ledger
from sdqctl.store.redact import Redactor


@dataclass(frozen=True)
class Found:
    """What is exported of one session."""

    entry: Entry
    turns: list[Turn]
    runs: list[tuple[RunRecord, list[StepRecord]]]
    why: str | None
    """Why the ledger had to serve instead of the journal."""


def gather(entry: Entry, archive: SessionArchive, ledger: Ledger) -> Found:
    """Read a session from journal and ledger."""
    found = ledger.runs_of(entry.ref)
    driven = max(found, key=lambda run: run.updated_at, default=None) if entry.holder else None
    runs = [
        (effective_status(run, entry.holder if run is driven else None), ledger.steps(run.id))
        for run in found
    ]
    turns, why = read_turns(archive, entry.info.id, ledger.turns_of(entry.ref))
    return Found(entry, turns, runs, why)


def without_secrets(found: Found, redact: Redactor) -> Found:
    """The same with the secrets taken out of its texts."""
    entry = found.entry
    info = entry.info
    summary = redact(info.summary) if info.summary else info.summary
    return replace(
        found,
        entry=replace(
            entry,
            info=msgspec.structs.replace(info, summary=summary),
            run=clean_record(entry.run, redact) if entry.run else None,
        ),
        turns=[clean_record(turn, redact) for turn in found.turns],
        runs=[
            (clean_record(run, redact), [clean_record(step, redact) for step in steps])
            for run, steps in found.runs
        ],
    )


def exported(found: Found, output_format: str) -> str:
    """The session in `md`, `html`, `json` or `jsonl`."""
    if output_format == "md":
        return as_markdown(found.entry.info.label, found.turns)
    if output_format == "html":
        from sdqctl.sessions.export.html import as_html

        return as_html(found.entry.info, found.turns, found.runs)
    if output_format == "jsonl":
        head = {"type": "session", **entry_object(found.entry, len(found.turns))}
        lines = [head, *({"type": "turn", **turn_entry(turn)} for turn in found.turns)]
        return "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)
    document = session_object(found)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def session_object(found: Found) -> dict[str, object]:
    """The object of `sessions show --format json` (docs/json.md)."""
    document = entry_object(found.entry, len(found.turns))
    document["turns"] = [turn_entry(turn) for turn in found.turns]
    document["runs"] = [run_entry(run, steps) for run, steps in found.runs]
    return document

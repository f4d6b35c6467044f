"""One session in full: its turns, its runs with their steps, what its tools asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from sdqctl.adapters.base import SessionArchive
from sdqctl.model.audit import ToolRecord
from sdqctl.model.run import CalledRun, RunRecord, StepRecord
from sdqctl.model.session import Turn, Usage
from sdqctl.sessions.access import Access
from sdqctl.sessions.audit import audit_of
from sdqctl.sessions.files import StepFiles, files_of_steps
from sdqctl.sessions.query import Entry, effective_tree
from sdqctl.sessions.redaction import clean_record, clean_records
from sdqctl.sessions.resolve import find_session
from sdqctl.sessions.transcript import read_turns
from sdqctl.store.calls import tree_of
from sdqctl.store.ledger import Ledger
from sdqctl.store.redact import Redactor


@dataclass(frozen=True)
class SessionDetail:
    """A session with all that is known of it."""

    entry: Entry
    turns: list[Turn]
    runs: list[tuple[CalledRun, list[StepRecord]]]
    """Each with the runs that it calls."""
    why: str | None
    """Why the ledger had to serve instead of the journal."""
    requests: list[ToolRecord]
    files: tuple[StepFiles, ...] = ()
    """What its steps changed in the work tree."""

    @property
    def usage(self) -> Usage:
        """What its turns used together."""
        return sum((turn.usage for turn in self.turns), Usage())


def read_detail(access: Access, argument: str, adapter: str | None = None) -> SessionDetail:
    """The session that is meant, in full and without its secrets; see `find_session`.

    Of the files that its steps changed the names and counts, not the contents.
    """
    entry = find_session(access, argument, adapter, to_read=True)
    redact = Redactor(access.environment)
    with access.ledger(read_only=True) as ledger:
        found = _gather(entry, access.archive(entry.info.adapter), ledger)
        requests = audit_of(entry.ref, found.turns, ledger, redact)
    files = tuple(files_of_steps([(tree.run, steps) for tree, steps in found.runs]))
    return replace(_without_secrets(found, redact), requests=requests, files=files)


def _gather(entry: Entry, archive: SessionArchive, ledger: Ledger) -> SessionDetail:
    found = ledger.runs_of(entry.ref)
    driven = max(found, key=lambda run: run.updated_at, default=None) if entry.holder else None
    steps = {run.id: ledger.steps(run.id) for run in found}
    runs = [
        (
            effective_tree(tree_of(ledger, run), entry.holder if run is driven else None),
            steps[run.id],
        )
        for run in found
        if steps[run.id] or not _is_gone(run, ledger)
    ]
    turns, why = read_turns(archive, entry.info.id, ledger.turns_of(entry.ref))
    return SessionDetail(entry, turns, runs, why, [])


def _is_gone(run: RunRecord, ledger: Ledger) -> bool:
    """Whether a rewind took back what a run without steps had done, and nothing goes on with it."""
    goes_on = run.workflow_path is not None and run.parent_run is None
    return not goes_on and bool(ledger.attempts(run.id))


def _without_secrets(found: SessionDetail, redact: Redactor) -> SessionDetail:
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
        turns=clean_records(found.turns, redact),
        runs=[
            (_clean_tree(tree, redact), clean_records(steps, redact)) for tree, steps in found.runs
        ],
    )


def _clean_tree(tree: CalledRun, redact: Redactor) -> CalledRun:
    return CalledRun(
        run=clean_record(tree.run, redact),
        called=tuple(_clean_tree(one, redact) for one in tree.called),
        gate=clean_record(tree.gate, redact) if tree.gate is not None else None,
    )

"""What can be said to a run that another process does: answers to its questions, and to end."""

from __future__ import annotations

import time

import msgspec

from sdqctl.errors import BusyError, UsageError
from sdqctl.model.run import RunRecord, RunStatus, StepStatus
from sdqctl.model.tools import PermissionQuestion
from sdqctl.model.views.run import GateView, gate_view
from sdqctl.policy.ask import QUESTION, read_reply
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import Entry, effective_status
from sdqctl.sessions.resolve import find_session
from sdqctl.store.calls import outermost, tree_ids, tree_of
from sdqctl.store.gates import record_shown
from sdqctl.store.ledger import Ledger
from sdqctl.store.locks import holder
from sdqctl.store.messages import answer_question, ask_to_end, open_questions

_POLL = 0.05


def interrupt_run(
    access: Access, argument: str, adapter: str | None = None, *, wait: float
) -> tuple[Entry, RunRecord]:
    """Have the process that does a session's run interrupt it, as by Ctrl-C; returns the session
    as it was, and the run once it has ended.

    Raises UsageError where no run is under way, BusyError when it has not ended within `wait`
    seconds: then it may still end.
    """
    entry = find_session(access, argument, adapter)
    with access.ledger() as ledger:
        run = _running(entry, ledger)
        ask_to_end(ledger, outermost(ledger, run).id)
        deadline = time.monotonic() + wait
        while holder(access.home, entry.ref) is not None:
            if time.monotonic() >= deadline:
                who = entry.holder.describe() if entry.holder else "its process"
                raise BusyError(
                    f"the run of session {entry.info.label!r} was asked to end, but {who} "
                    "still has it",
                    hint="it ends once its step can be cut off; `--wait` waits longer",
                )
            time.sleep(_POLL)
        return entry, effective_status(ledger.run(run.id) or run, None)


def _running(entry: Entry, ledger: Ledger) -> RunRecord:
    """The run that is under way in a session. Raises UsageError where there is none."""
    found = _driven(entry, ledger)
    if found is None:
        state = "is open in another program" if entry.holder else f"is {entry.status}"
        raise UsageError(
            f"no run is under way in session {entry.info.label!r}: it {state}",
            hint="`sdqctl sessions list --status running` shows what is",
        )
    return found


def _driven(entry: Entry, ledger: Ledger) -> RunRecord | None:
    """The run that a process does in a session now."""
    runs = [] if entry.holder is None else ledger.runs_of(entry.ref, called=False)
    found = (run for run in runs if run.status is RunStatus.RUNNING)
    return max(found, key=lambda run: run.updated_at, default=None)


def question_of(entry: Entry, ledger: Ledger) -> PermissionQuestion | None:
    """The first question that the run of a session waits with, or one that it calls."""
    run = _driven(entry, ledger)
    if run is None:
        return None
    return next(iter(open_questions(ledger, tree_ids(ledger, run.id))), None)


def gate_of(entry: Entry, ledger: Ledger) -> GateView | None:
    """The ASK at which the run of a session stopped, or one that it calls."""
    gate = None if entry.run is None else tree_of(ledger, entry.run).open_gate
    return None if gate is None else gate_view(gate)


def reply_to(ledger: Ledger, question: PermissionQuestion, said: str) -> None:
    """Answer a question with what a human typed; the first answer counts.

    Raises UsageError for what is no answer, and where another one was first or nobody waits.
    """
    reply = read_reply(said)
    if reply is None:
        raise UsageError(f"{said!r} is no answer to a permission question", hint=QUESTION)
    if not answer_question(ledger, question.number, msgspec.json.encode(reply).decode()):
        raise UsageError("the question was answered meanwhile; that answer holds")


def note_shown(access: Access, entry: Entry) -> None:
    """Record that the message of the PAUSE or CONSULT at which a session's run stopped was shown to
    a human: the next command passes it. Raises StoreError.
    """
    if entry.run is None:
        return
    with access.ledger(read_only=True) as ledger:
        steps = ledger.steps(entry.run.id)
    for step in steps:
        if step.kind in ("pause", "consult") and step.status is StepStatus.BEGUN:
            record_shown(access.home, step.run_id, step.path)

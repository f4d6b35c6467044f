"""What is half done of steps that were cut off and have no place in the run any more, since the
workflow was edited. It is settled as `--on-interrupted` says before the attempts are superseded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sdqctl.engine.command.process import end_command
from sdqctl.engine.matching import Match, shown_steps
from sdqctl.engine.recovery import find_end, take_out, what_acted
from sdqctl.errors import CapabilityError, SharedTreeError, StepError
from sdqctl.model.events import Warned
from sdqctl.model.options import OnInterrupted
from sdqctl.model.run import OutcomeStatus, StepRecord
from sdqctl.store.calls import called_at, steps_of_called
from sdqctl.store.evidence import CommandFolders

if TYPE_CHECKING:
    from sdqctl.engine.context import LiveRun
    from sdqctl.model.plan import Plan


@dataclass(frozen=True)
class _Leftover:
    """What is half done of a step."""

    record: StepRecord
    how: str
    """That it was cut off, and after what."""
    take_back: Callable[[], Awaitable[None]] | None = None
    """Takes it back with its files."""
    take_out: Callable[[], Awaitable[None]] | None = None
    """Takes its prompt alone out of the conversation."""


def behind_others(plan: Plan, match: Match, records: Iterable[StepRecord]) -> list[StepRecord]:
    """Those of the recorded steps that were cut off, and before which another one is to be done
    now: what that changes would be taken back with them, were they taken back later.
    """
    steps = (step.path for step in shown_steps(plan.steps, match))
    first = next((path for path in steps if path not in match.done), None)
    return [
        record
        for record in records
        if record.may_be_half_done
        and record.kind != "call"
        and match.moved.get(record.path) not in (None, first)
    ]


async def settle_leftovers(run: LiveRun, records: Iterable[StepRecord]) -> list[StepRecord]:
    """Settle what is half done of steps, the newest first; returns those that were taken back.

    Nothing that lives on of them goes on. Raises StepError with `fail`, and with `rewind` for what
    cannot be taken back.
    """
    taken_back = []
    for record in sorted(records, key=lambda r: str(r.started_at), reverse=True):
        found = await _found(run, record)
        if found is not None and await _settle(run, found):
            taken_back.append(record)
    return taken_back


async def _found(run: LiveRun, record: StepRecord) -> _Leftover | None:
    """What is half done of a step; None: nothing, its end was found or it never began to act."""
    if record.kind == "call":
        return await _of_call(run, record)
    return _of_command(run, record) if record.turn_id is None else await _of_prompt(run, record)


async def _of_prompt(run: LiveRun, record: StepRecord) -> _Leftover | None:
    session, ledger = run.connection.session, run.context.ledger
    if record.session_id != session.info.id:
        return _Leftover(record, "was cut off in another conversation")
    attempts = [a for a in ledger.attempts_at(record.run_id, record.path) if a.turn_id]
    found = await find_end(session, ledger, attempts)
    if found is None or found[1].status is OutcomeStatus.FINISHED:
        return None
    out = partial(take_out, session, ledger, attempts)
    how = f"was cut off after {what_acted(session, found[1])}"
    return _Leftover(record, how, partial(out, run.tree.go_back), partial(out, None))


def _of_command(run: LiveRun, record: StepRecord) -> _Leftover | None:
    """The same of a RUN, after what lives on of its command was ended."""
    found = CommandFolders(run.context.setup.settings.home, record.run_id).found(record)
    known = found.ended is not None or found.limit is not None
    if known or (found.exists and not found.started):
        return None
    end_command(found)
    how = "was cut off, and whether it took effect is not known"
    return _Leftover(record, how, partial(run.tree.go_back, record, record, [record.title]))


async def _of_call(run: LiveRun, record: StepRecord) -> _Leftover | None:
    """The same of a CALL, by the runs that it called; it cannot be taken back."""
    ledger = run.context.ledger
    called = called_at(ledger, record.run_id, record.path)
    if called is None:
        return None
    steps = [*ledger.steps(called.id), *steps_of_called(ledger, called.id)]
    inner = [step for step in steps if step.may_be_half_done and step.kind != "call"]
    found = [one for step in inner if (one := await _found(run, step)) is not None]
    places = ", ".join(f"step {one.record.path} ({one.record.title})" for one in found)
    return _Leftover(record, f"was cut off in {places} of what it calls") if found else None


async def _settle(run: LiveRun, found: _Leftover) -> bool:
    """Do what `--on-interrupted` says; whether it was taken back."""
    policy = run.on_interrupted
    what = f"step {found.record.path} ({found.record.title}) {found.how}"
    gone = f"{what}, and is no longer in the workflow as it was"
    on = "go on all the same with `--on-interrupted continue`"
    if policy is OnInterrupted.FAIL:
        raise StepError(gone, hint=f"{on}, or with what it changed taken back with `rewind`")
    if policy is OnInterrupted.REWIND:
        if found.take_back is None:
            raise StepError(f"{gone}; it cannot be taken back", hint=on)
        try:
            await found.take_back()
        except SharedTreeError as error:
            gone = f"{gone}; {error.message}"
        else:
            run.context.emit(Warned(message=f"{what}; it was taken back, with its files"))
            return True
    where = "its prompt stays in the conversation, " if found.take_out is not None else ""
    if policy is OnInterrupted.RESEND and found.take_out is not None:
        with suppress(StepError, CapabilityError):  # what came after it would be lost
            await found.take_out()
            where = "its prompt is taken out of the conversation, "
    run.context.emit(Warned(message=f"{gone}; {where}what it changed stays"))
    return False

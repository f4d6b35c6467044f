"""What a session's tools asked for: the ledger's record, and what only the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from sdqctl.model.audit import Source, ToolRecord
from sdqctl.model.paths import position_of
from sdqctl.model.session import SessionRef, ToolCall, Turn
from sdqctl.store.audit import Attempt, attempts_of, requests_of
from sdqctl.store.ledger import Ledger

_UNASKED = "the runtime"
_ELSEWHERE = "another client"
_UNKNOWN = "not recorded"
"""Of a version that kept no record."""


def audit_of(
    ref: SessionRef, turns: Sequence[Turn], ledger: Ledger, redact: Callable[[str], str]
) -> list[ToolRecord]:
    """Every tool request of a session, turn by turn, with what decided it.

    What the runtime decided by itself stands in its journal alone, and counts as decided by it;
    what another program did in the session counts as decided there. `redact` takes secrets out.
    """
    recorded = requests_of(ledger, ref)
    known = {record.tool_call_id for record in recorded} - {None}
    attempts = attempts_of(ledger, ref)
    extra: list[ToolRecord] = []
    for turn in turns:
        attempt = attempts.get(turn.message_id or "")
        turn_id = attempt.turn_id if attempt else None
        for call in turn.tools:
            if call.id not in known and not _identify(call, turn_id, recorded):
                extra.append(_from_journal(call, turn, attempt))
    return [_clean(record, redact) for record in _in_order(recorded, extra, turns)]


def _identify(call: ToolCall, turn_id: str | None, recorded: list[ToolRecord]) -> bool:
    """Give a call's id to the first record of it that was made before the id was known."""
    for place, record in enumerate(recorded):
        unnamed = record.turn_id == turn_id and record.tool_call_id is None
        if unnamed and record.tool == call.name and record.allowed is not call.denied:
            recorded[place] = msgspec.structs.replace(record, tool_call_id=call.id)
            return True
    return False


def _clean(record: ToolRecord, redact: Callable[[str], str]) -> ToolRecord:
    return msgspec.structs.replace(
        record, target=redact(record.target), by=redact(record.by), reason=redact(record.reason)
    )


def _in_order(
    recorded: Sequence[ToolRecord], extra: Sequence[ToolRecord], turns: Sequence[Turn]
) -> list[ToolRecord]:
    """The recorded requests as they came, and those of the journal alone where they stand there."""
    calls = [call.id for turn in turns for call in turn.tools]
    places: dict[str | None, int] = {call_id: place for place, call_id in enumerate(calls)}
    found, last = [], -1
    for record in recorded:
        last = max(last, places.get(record.tool_call_id, last))
        found.append((last, record))
    found += [(places[record.tool_call_id], record) for record in extra]
    return [record for _, record in sorted(found, key=lambda pair: pair[0])]


def _from_journal(call: ToolCall, turn: Turn, attempt: Attempt | None) -> ToolRecord:
    by = _ELSEWHERE if attempt is None else (_UNASKED if attempt.audited else _UNKNOWN)
    return ToolRecord(
        run=attempt.run_id if attempt else None,
        position=position_of(attempt.path) if attempt else None,
        path=attempt.path if attempt else None,
        turn_id=attempt.turn_id if attempt else None,
        tool_call_id=call.id,
        tool=call.name,
        target=call.summary,
        allowed=not call.denied,
        by=by,
        reason="refused" if call.denied else "nobody was asked",
        source=Source.JOURNAL,
        time=turn.started_at,
    )

"""What a session's tools asked for: the ledger's record, and what only the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from sdqctl.model.audit import Source, ToolRecord
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
    extra: dict[str | None, list[ToolRecord]] = {}
    for turn in turns:
        attempt = attempts.get(turn.message_id or "")
        unasked = [
            _from_journal(call, turn, attempt) for call in turn.tools if call.id not in known
        ]
        extra.setdefault(attempt.turn_id if attempt else None, []).extend(unasked)
    return [_clean(record, redact) for record in _in_order(recorded, extra)]


def _clean(record: ToolRecord, redact: Callable[[str], str]) -> ToolRecord:
    return msgspec.structs.replace(
        record, target=redact(record.target), by=redact(record.by), reason=redact(record.reason)
    )


def _in_order(
    recorded: Sequence[ToolRecord], extra: dict[str | None, list[ToolRecord]]
) -> Iterator[ToolRecord]:
    """The recorded requests, those of the journal alone before the others of their turn."""
    for record in recorded:
        yield from extra.pop(record.turn_id, ()) if record.turn_id is not None else ()
        yield record
    for left in extra.values():
        yield from left


def _from_journal(call: ToolCall, turn: Turn, attempt: Attempt | None) -> ToolRecord:
    by = _ELSEWHERE if attempt is None else (_UNASKED if attempt.audited else _UNKNOWN)
    return ToolRecord(
        run=attempt.run_id if attempt else None,
        position=attempt.position if attempt else None,
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

"""How a turn ended, by the lines of a journal as the runtime writes them."""

from __future__ import annotations

import json

from sdqctl.adapters.journal import turn_outcome, turns_of
from sdqctl.model.run import OutcomeStatus

CALL = {"toolCallId": "c1", "toolName": "bash", "arguments": {"command": "make"}}


def _outcome(permission: dict[str, str]) -> OutcomeStatus:
    events = [
        ("user.message", {"content": "go", "messageId": "m1"}),
        ("tool.execution_start", CALL),
        ("permission.completed", {"toolCallId": "c1", "result": permission}),
        ("tool.execution_complete", {"toolCallId": "c1", "success": permission == APPROVED}),
        ("assistant.message", {"content": "done", "originatingMessageId": "m1"}),
        ("assistant.turn_end", {}),
    ]
    lines = [json.dumps({"type": kind, "data": data}).encode() for kind, data in events]
    (turn,) = turns_of(lines)
    return turn_outcome(turn).status


APPROVED = {"kind": "approved"}


def test_an_answer_after_a_refused_tool_is_one() -> None:
    assert _outcome(APPROVED) is OutcomeStatus.FINISHED
    refused = {"kind": "denied-interactively-by-user", "feedback": "no"}
    assert _outcome(refused) is OutcomeStatus.FINISHED


def test_an_answer_after_a_tool_that_nobody_was_there_to_allow_is_none() -> None:
    gone = {"kind": "cancelled", "reason": "permission_prompt_delivery_failed"}
    assert _outcome(gone) is OutcomeStatus.INTERRUPTED

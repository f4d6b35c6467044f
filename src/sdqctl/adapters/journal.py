"""Reading a session's journal, `events.jsonl`: plain JSON lines, one event a line.

Names of events and fields as in docs/copilot-findings.md (Events); the mock writes the same.

Torn, garbage and unknown lines are passed over, as the runtime does at resume. A turn is finished
by what is durable (docs/copilot-findings.md, Events): the prompt, an answer to it without tool
requests, the end of the model's turn, and neither an abort nor an error in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from sdqctl.foreign import at_once
from sdqctl.model.run import OutcomeStatus, TurnBegun, TurnOutcome
from sdqctl.model.session import ToolCall, Turn, Usage

ABORTED = "aborted"
_SUMMARY = 200
_COUNTED = 256 * 1024
"""The longest journal, in bytes, whose turns a list counts."""
_PROMPT = b'"user.message"'
_PLACE = 400
"""Bytes by which a place in a journal is known again: they hold the id of an event."""
_OF_TURNS = (
    b'"user.message"',
    b'"assistant.message"',
    b'"assistant.turn_end"',
    b'"permission.completed"',
    b'"tool.execution_start"',
    b'"tool.execution_complete"',
    b'"session.usage_record"',
    b'"session.error"',
    b'"abort"',
)


class _Event(msgspec.Struct):
    type: str
    id: str | None = None
    timestamp: datetime | None = None
    data: dict[str, Any] = {}
    agentId: str | None = None  # noqa: N815 - the journal's own name


_DECODER = msgspec.json.Decoder(_Event)


def read_turns(path: Path) -> Iterator[Turn]:
    """The turns of a journal, oldest first. Raises OSError when it cannot be opened."""
    with open(path, "rb", opener=at_once) as stream:
        yield from turns_of(stream)


def turns_of(lines: Iterable[bytes]) -> Iterator[Turn]:
    """The turns that stand in journal lines."""
    turn: _OpenTurn | None = None
    count = 0
    for event in _events(lines):
        if event.type == "user.message":
            if turn is not None:
                yield turn.close()
            count += 1
            turn = _OpenTurn(count, event)
        elif turn is not None:
            turn.add(event)
    if turn is not None:
        yield turn.close()


def fingerprint(path: Path) -> tuple[int, int] | None:
    """Size and time (ns) of a journal, None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def count_turns(path: str | Path) -> int | None:
    """How many prompts a journal holds; None when it cannot be read, or is too long for a list."""
    try:
        with open(path, "rb", opener=at_once) as stream:
            data = stream.read(_COUNTED + 1)
    except OSError:
        return None
    if len(data) > _COUNTED:
        return None
    return sum(_PROMPT in line[:60] for line in data.splitlines() if b'"agentId"' not in line)


def _events(lines: Iterable[bytes]) -> Iterator[_Event]:
    for line in lines:
        if not any(mark in line[:60] for mark in _OF_TURNS):
            continue
        try:
            event = _DECODER.decode(line)
        except msgspec.MsgspecError:
            continue
        if event.agentId is None and not event.data.get("parentToolCallId"):
            yield event


def turn_outcome(turn: Turn) -> TurnOutcome:
    """How a turn ended, as recovery wants to know it."""
    if turn.finished:
        status = OutcomeStatus.FINISHED
    elif turn.error is not None and turn.error != ABORTED:
        status = OutcomeStatus.FAILED
    else:
        status = OutcomeStatus.INTERRUPTED
    return TurnOutcome(
        status=status,
        message_id=turn.message_id,
        response=turn.response,
        tools=turn.tools,
        usage=turn.usage,
        error=turn.error,
        started_at=turn.started_at,
        completed_at=turn.completed_at,
    )


def find_turn(path: Path, begun: TurnBegun) -> Turn | None:
    """A turn by its message id, else by its prompt, after where the journal stood before it.

    None: it never arrived. Where `begun` does not tell how the journal stood, only the last turn
    can be it: earlier ones may have had the same prompt.
    """
    try:
        turns = list(read_turns(path))
    except OSError:
        return None
    if begun.message_id is not None:
        return next((t for t in turns if t.message_id == begun.message_id), None)
    before = len(turns) - 1 if begun.journal_position is None else begun.journal_position
    later = (turn for turn in turns if turn.index > before)
    return next((turn for turn in later if begun.matches(turn.prompt, turn.message_id)), None)


class TurnCounter:
    """How many turns a journal holds; what was counted before is not read again.

    Not its size: the runtime shortens a damaged journal at the first write after a resume. That
    the journal is the one that was read is known by what stands before the place: each event has
    an id of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._before = b""
        self._whole = 0
        """Turns in the lines before the offset."""

    def count(self) -> int:
        """The number now; 0 before the journal exists."""
        try:
            with open(self._path, "rb", opener=at_once) as stream:
                return self._count(stream)
        except OSError:
            return 0

    def _count(self, stream: BinaryIO) -> int:
        stream.seek(self._offset - len(self._before))
        if stream.read(len(self._before)) != self._before:
            self._offset, self._before, self._whole = 0, b"", 0
            stream.seek(0)
        for line in stream:
            arrived = _PROMPT in line[:60] and any(True for _ in _events((line,)))
            if not line.endswith(b"\n"):  # it may be torn, and is read again next time
                return self._whole + arrived
            self._whole += arrived
            self._offset += len(line)
            self._before = line[-_PLACE:]
        return self._whole


def _could_not_ask(data: dict[str, Any]) -> bool:
    """Whether a tool was refused since sdqctl was gone (by experiment): what the
    agent says then is no answer to its prompt.
    """
    result = data.get("result") or {}
    return result.get("reason") == "permission_prompt_delivery_failed"


class _OpenTurn:
    """Gathers one turn from its events."""

    def __init__(self, index: int, event: _Event) -> None:
        self._index = index
        self._start = event
        self._message_id: str | None = event.data.get("messageId")
        self._tools: dict[str, ToolCall] = {}
        self._usage = Usage()
        self._model: str | None = None
        self._response = ""
        self._answered = False
        self._finished = False
        self._error: str | None = None
        self._last = event.timestamp

    def add(self, event: _Event) -> None:
        """Take in one event after the prompt."""
        self._last = event.timestamp or self._last
        match event.type:
            case "assistant.message":
                self._add_message(event.data)
            case "assistant.turn_end":
                self._finished = self._finished or self._answered
            case "permission.completed" if _could_not_ask(event.data):
                self._error = self._error or ABORTED
            case "tool.execution_start":
                self._start_tool(event.data)
            case "tool.execution_complete":
                self._end_tool(event.data)
            case "session.usage_record":
                used = event.data.get("usage") or {}
                self._usage += usage_of(used)
                self._model = used.get("model") or self._model
            case "session.error":
                self._error = str(event.data.get("message") or "error")
            case "abort":
                self._error = self._error or ABORTED

    def close(self) -> Turn:
        """The turn as it stands."""
        finished = self._finished and self._error is None
        return Turn(
            index=self._index,
            prompt=str(self._start.data.get("content") or ""),
            response=self._response,
            started_at=self._start.timestamp,
            completed_at=self._last if finished or self._error else None,
            tools=tuple(self._tools.values()),
            usage=self._usage,
            message_id=self._message_id,
            event_id=self._start.id,
            error=self._error,
            finished=finished,
            model=self._model,
        )

    def _add_message(self, data: dict[str, Any]) -> None:
        content = str(data.get("content") or "")
        self._response = content or self._response
        origin = data.get("originatingMessageId", self._message_id)
        own = origin == self._message_id
        self._answered = bool(content) and not data.get("toolRequests") and own

    def _start_tool(self, data: dict[str, Any]) -> None:
        call = tool_call(
            str(data.get("toolCallId")), str(data.get("toolName")), data.get("arguments")
        )
        self._tools[call.id] = call

    def _end_tool(self, data: dict[str, Any]) -> None:
        known = self._tools.get(str(data.get("toolCallId")))
        if known is None:
            return
        error = data.get("error") or {}
        denied = isinstance(error, dict) and error.get("code") == "denied"
        exit_status = (data.get("shellExecution") or {}).get("exitCode")
        detail = (data.get("result") or {}).get("detailedContent")
        added, removed = changed_lines(detail if data.get("fileEdits") else None)
        self._tools[known.id] = msgspec.structs.replace(
            known,
            ok=bool(data.get("success")),
            denied=denied,
            exit_status=exit_status,
            added=added,
            removed=removed,
        )


def tool_call(call_id: str, name: str, arguments: object) -> ToolCall:
    """A tool call with the one argument that tells what it is about, in one line."""
    summary = ""
    if isinstance(arguments, dict):
        for key in ("command", "path", "pattern", "url", "query", "prompt", "description"):
            if arguments.get(key):
                summary = str(arguments[key])
                break
        else:
            summary = msgspec.json.encode(arguments).decode() if arguments else ""
    elif arguments:
        summary = str(arguments)
    return ToolCall(id=call_id, name=name, summary=" ".join(summary.split())[:_SUMMARY])


def changed_lines(diff: str | None) -> tuple[int | None, int | None]:
    """How many lines a diff adds and removes; None twice where there is none."""
    if not diff:
        return None, None
    added = removed = 0
    in_hunk = False
    for line in diff.split("\n"):
        in_hunk = line.startswith("@@") or (in_hunk and not line.startswith("diff "))
        added += in_hunk and line.startswith("+")
        removed += in_hunk and line.startswith("-")
    return added, removed


def usage_of(record: dict[str, Any]) -> Usage:
    """One model call's use, from the journal's `session.usage_record`."""
    return Usage(
        input_tokens=int(record.get("inputTokens") or 0),
        output_tokens=int(record.get("outputTokens") or 0),
        cached_tokens=int(record.get("cacheReadTokens") or 0),
        model_calls=1,
        cost=float(record.get("cost") or 0.0),
    )

"""What is recorded of each tool request: who allowed or refused it, by which rule."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Source(StrEnum):
    """Where a decision was made."""

    POLICY = "policy"
    """The runtime asked for permission."""
    HOOK = "hook"
    """The runtime told of a tool call before it was made, without asking for permission."""
    USER = "user"
    NET = "net"
    """The operating system refused what a program tried."""
    JOURNAL = "journal"
    """Nobody here was asked: it stands in the runtime's journal alone."""


class ToolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One tool request and its decision.

    `target` is bounded and without secrets. `by` is what decided: a rule as it is written,
    `mode NAME`, `the user`, `the runtime`, ...
    """

    run: str | None = None
    position: int | None = None
    """The step of the run: its number in the whole list."""
    path: str | None = None
    """Where it stands."""
    attempt: int | None = None
    turn_id: str | None = None
    tool_call_id: str | None = None
    tool: str | None = None
    kind: str | None = None
    target: str = ""
    allowed: bool
    by: str
    reason: str = ""
    source: str
    time: datetime | None = None

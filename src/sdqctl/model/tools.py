"""What an agent's tool asks for, and what it is answered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec


class ToolKind(StrEnum):
    """What a tool wants to do."""

    SHELL = "shell"
    READ = "read"
    WRITE = "write"
    URL = "url"
    MCP = "mcp"
    CUSTOM = "custom-tool"
    OTHER = "other"


class ToolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request for permission.

    `target` is the whole command line of a shell, the path of a read or write, the host or address
    of a url, `server:tool` of mcp, else the tool's name.
    """

    kind: ToolKind
    target: str
    intention: str = ""
    detail: str = ""
    """What would be written, as a diff, where the runtime reports it."""
    tool_call_id: str | None = None
    paths: tuple[str, ...] = ()
    """Further paths that a read or write names, each judged like the target."""
    tool: str = ""
    """The tool's own name, where it is known."""
    source: str = "policy"
    """What asks: a Source of the audit."""


class ToolDecision(msgspec.Struct, frozen=True):
    """The answer, with a reason that the model is told when it is no."""

    allowed: bool
    reason: str
    final: bool = False
    """A refusal that no rule and no human can lift."""
    by: str = ""
    """What decided: a rule as it is written, `mode NAME`, `the user`, `the runtime`."""
    why: str = ""
    """The reason in a few words, for the user."""
    rules: tuple[str, ...] = ()
    """The rules that together would allow what is refused."""
    mode: str = ""
    """The mode that would allow what is refused, where one would."""
    ends_turn: bool = False
    """The user aborts the turn: an agent that is told no before would go on without the tool."""


class ToolPolicy(Protocol):
    """Decides on tool requests. It must answer at once and never raise."""

    def decide(self, request: ToolRequest) -> ToolDecision: ...


@runtime_checkable
class AsksHumans(Protocol):
    """A policy that may take its time."""

    async def ask(self, request: ToolRequest) -> ToolDecision: ...


@runtime_checkable
class BoundsTools(Protocol):
    """A policy that knows which kinds of tools it never allows."""

    def may_allow(self, kind: ToolKind) -> bool: ...


@runtime_checkable
class KeepsRecord(Protocol):
    """A policy whose decisions are on record, which takes those that were made without it."""

    def record(self, request: ToolRequest, decision: ToolDecision) -> ToolDecision: ...


def on_record(policy: ToolPolicy, request: ToolRequest, decision: ToolDecision) -> ToolDecision:
    """A decision that was made without the policy, recorded; a refusal where that fails."""
    return policy.record(request, decision) if isinstance(policy, KeepsRecord) else decision


def may_allow(policy: ToolPolicy, kind: ToolKind) -> bool:
    """Whether a policy could allow anything of a kind; False: its tools need not exist."""
    return policy.may_allow(kind) if isinstance(policy, BoundsTools) else True


async def evaluate(policy: ToolPolicy, request: ToolRequest) -> ToolDecision:
    """What a policy says, after asking a human if it is one that does."""
    return await policy.ask(request) if isinstance(policy, AsksHumans) else policy.decide(request)


class DenyAll:
    """The policy of a session that was given none."""

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Refuse whatever is asked."""
        return ToolDecision(False, "no tool is allowed in this session")


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """An MCP server: a program that is started with the session, or an address."""

    name: str
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}


class PermissionQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question about a request, which waits in the ledger for a human's answer."""

    number: int
    run_id: str
    request: ToolRequest
    why: str
    """Why it is asked, in a few words."""
    asked_at: datetime

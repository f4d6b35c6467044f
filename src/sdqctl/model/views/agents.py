"""What `agents --format json` writes."""

from __future__ import annotations

from datetime import datetime

import msgspec


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen when an agent was checked."""

    version: str | None
    asks: bool
    """It asked before it ran a command."""
    heeds: bool
    """A refused command did not run."""
    restores: bool
    """Another process of it had the conversation."""
    checked_at: datetime
    offline: bool
    """A scripted model answered."""


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that speaks the Agent Client Protocol."""

    name: str
    """What `-a` takes."""
    title: str
    command: tuple[str, ...]
    installed: bool
    program: str | None
    version: str | None
    """What its program says; null where it is not installed."""
    seen: str | None
    """The version that sdqctl was tried with."""
    problem: str | None
    mode: str | None
    """The mode that its sessions are put in, so that it asks before it acts."""
    powers: tuple[str, ...]
    checks: tuple[CheckView, ...]
    """One a version, the last one last."""


class AgentSessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as an agent lists it."""

    id: str
    """The agent's own."""
    title: str | None
    cwd: str
    updated_at: str | None
    name: str | None
    """The name that sdqctl knows it by; null for one that it did not make."""

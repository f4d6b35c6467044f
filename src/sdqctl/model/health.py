"""What an adapter says of its runtime: whether sessions can be run, and with which tools."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Health:
    """What `check` found. `problem` is None when sessions can be run."""

    adapter: str
    installed: bool
    version: str | None = None
    runtime_path: str | None = None
    found_by: str | None = None
    provider: str | None = None
    """Which model provider would answer, without any secret."""
    signed_in: bool | None = None
    """None: not asked, or a provider of one's own needs no account."""
    problem: str | None = None
    hint: str | None = None


@dataclass(frozen=True, kw_only=True)
class ToolNames:
    """The tools that sessions of a runtime are given, and those they are not."""

    known: tuple[str, ...]
    unknown: tuple[str, ...] | None = None
    """Tools of the installed runtime that are out because it is not known what they do; None: the
    runtime did not report."""

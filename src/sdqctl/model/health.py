"""What an adapter says of its runtime: whether sessions can be run, and with which tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """How a runtime signs its user in: a program that is run on the user's terminal."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    other_ways: str | None = None
    """What else a user can do, as a hint."""

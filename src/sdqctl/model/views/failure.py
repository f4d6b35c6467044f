"""An error as JSON shows it."""

from __future__ import annotations

import msgspec


class FailureView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command failed."""

    code: str
    """Which error, in a word, as `sdqctl help exit-codes` lists them."""
    exit: int
    """The exit code."""
    message: str
    """What happened, without secrets."""
    hint: str | None
    """What to do."""


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """What a command that fails writes to stderr."""

    error: FailureView

"""The words of MODE that are known; what they allow is the policy's (policy.policy)."""

from __future__ import annotations

WRITING_MODE = "implement"
OPEN_MODE = "full"
"""Like the writing modes, without a sandbox."""
WRITING_MODES = frozenset({WRITING_MODE, OPEN_MODE, "write"})
"""Writing inside the working directory, and the shell, are allowed."""
READING_MODES = frozenset({"audit", "analysis", "read-only", "verification"})

MODES = (*sorted(READING_MODES), *sorted(WRITING_MODES))


def is_known_mode(word: str) -> bool:
    """Whether a MODE says what it allows; an unknown one allows reading only."""
    return word.strip().lower() in MODES


def may_write(word: str | None) -> bool:
    """Whether a MODE allows writing and the shell."""
    return (word or "").strip().lower() in WRITING_MODES


def is_open(word: str | None) -> bool:
    """Whether a MODE has no sandbox unless one is asked for."""
    return (word or "").strip().lower() == OPEN_MODE


def exceeds(wanted: str | None, bound: str | None) -> bool:
    """Whether a MODE allows more than another one."""
    return _width(wanted) > _width(bound)


def _width(word: str | None) -> int:
    return may_write(word) + is_open(word)

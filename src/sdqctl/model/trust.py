"""What a command does about what a repository brings; light, since every command loads it."""

from __future__ import annotations

from enum import StrEnum


class TrustState(StrEnum):
    """Whether what a repository brings takes effect."""

    EMPTY = "empty"
    """It brings nothing that needs trust."""
    TRUSTED = "trusted"
    CHANGED = "changed"
    """It was trusted, and something is not as it was then."""
    UNTRUSTED = "untrusted"
    REFUSED = "refused"
    """It cannot be trusted: a file has a problem."""


class RepositoryUse(StrEnum):
    """What a command was told to do about what a repository brings."""

    AS_TRUSTED = "as-trusted"
    """It takes effect if the user trusts it as it is now."""
    NEVER = "never"
    ONCE = "once"
    """As if the user trusted it as it is at the start."""

    def lets(self, state: TrustState) -> bool:
        """Whether what a repository in this state brings takes effect."""
        if self is RepositoryUse.ONCE:
            return state not in (TrustState.EMPTY, TrustState.REFUSED)
        return self is RepositoryUse.AS_TRUSTED and state is TrustState.TRUSTED

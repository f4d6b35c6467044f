"""Counting the work that judging a line makes."""

from __future__ import annotations

from dataclasses import dataclass

from sdqctl.policy.shell.facts import UnclearCommandError


@dataclass(slots=True)
class Meter:
    """Counts the work that one line makes, so that it stays bounded."""

    limit: int
    steps: int = 0

    def spend(self, steps: int) -> None:
        """Note work. Raises UnclearCommandError when it is too much."""
        self.steps += steps
        if self.steps > self.limit:
            raise UnclearCommandError("it is too long")

"""What is decided on a command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ShellVerdict:
    """What is decided on a command line. `rule` would allow what is refused, None: nothing would.

    `by` is the rule, as it is written, that allowed or denied; the first one where several allowed
    parts of the line. Empty where no rule decided: then the mode did, or the line is not clear.
    """

    allowed: bool
    why: str
    by: str = ""
    rule: str | None = None


class RefusedError(Exception):
    """A part of a line may not run."""

    def __init__(self, why: str, rule: str | None = None, by: str = "") -> None:
        super().__init__(why)
        self.verdict = ShellVerdict(False, why, by, rule)

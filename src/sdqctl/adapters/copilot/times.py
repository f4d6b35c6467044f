"""The times of the SDK's events, read by the standard library.

The SDK reads each with dateutil, which took a fifth of a turn's CPU (docs/performance.md).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime


class _Quick:
    """Reads one time; what the standard library cannot read goes to `slow`, the SDK's own."""

    def __init__(self, slow: Callable[[object], datetime]) -> None:
        self.slow = slow

    def __call__(self, value: object) -> datetime:
        if isinstance(value, str):
            with suppress(ValueError):
                return datetime.fromisoformat(value)
        return self.slow(value)


_READERS = ("copilot.generated.session_events", "copilot.generated.rpc", "copilot.client")
"""The modules that read times, each by a name of its own."""


def read_times_quickly() -> None:
    """Have the SDK read ISO 8601 by `datetime.fromisoformat`, and anything else as it did.

    An SDK that reads times in another place is left as it is.
    """
    for name in _READERS:
        module = sys.modules.get(name)
        slow = getattr(module, "from_datetime", None)
        if slow is not None and not isinstance(slow, _Quick):
            setattr(module, "from_datetime", _Quick(slow))  # noqa: B010 - not the SDK's to type

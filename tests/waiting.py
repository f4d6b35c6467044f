"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 120.0
"""Seconds that a test waits at most; a loaded machine may take long."""


def wait_for(condition: Callable[[], object], what: str = "it") -> None:
    """Look until something holds; AssertionError when it does not come to pass."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} does not come to pass"
        time.sleep(0.02)


def has_line(path: Path) -> bool:
    """Whether a file is there and ends in a whole line: a shell makes the file before the line."""
    return path.exists() and path.read_text().endswith("\n")

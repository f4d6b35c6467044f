"""Waiting for what another process does."""

from __future__ import annotations

import os
import shutil
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


def alive(home: Path, word: bytes) -> list[int]:
    """Processes of a test's home whose command holds a word."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if word in command and f"HOME={home}".encode() in environment:
            found.append(int(name))
    return found


def wait_until_gone(home: Path, word: bytes) -> None:
    """Wait until none of them lives: what a killed sdqctl started ends a moment after it."""
    wait_for(lambda: not alive(home, word), f"the end of {word!r}")


def remove(folder: Path) -> None:
    """Remove a folder, if it is there; what a killed sdqctl started may write in it to the last."""

    def is_gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    wait_for(is_gone, f"the end of {folder}")

"""Golden screens: what a pseudo-terminal of a size shows, as a file that a reviewer reads.

`SDQCTL_UPDATE_SCREENS=1` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "screens"
SIZES = [(80, 24), (120, 40), (50, 15)]
"""Columns and rows that every screen is looked at in."""
_UPDATES = bool(os.environ.get("SDQCTL_UPDATE_SCREENS"))  # a test's own environment is without it


def is_golden(what: str, columns: int, rows: int, shown: str) -> bool:
    """Whether a screen is its golden file by now, for a wait: it is drawn piece by piece."""
    file = FOLDER / f"{what}-{columns}x{rows}.txt"
    return _UPDATES or not file.exists() or shown == file.read_text()


def compare(what: str, columns: int, rows: int, shown: str) -> None:
    """Fail where a screen is not its golden file; one that is missing is written, and fails."""
    file = FOLDER / f"{what}-{columns}x{rows}.txt"
    if _UPDATES:
        file.write_text(shown)
    elif not file.exists():
        file.write_text(shown)
        raise AssertionError(f"{file} was not there; look at it and run again")
    assert shown == file.read_text()

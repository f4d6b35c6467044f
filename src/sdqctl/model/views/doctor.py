"""What `doctor --format json` writes."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Finding(StrEnum):
    """How one part of an installation is."""

    OK = "ok"
    PROBLEM = "problem"
    """Runs fail for it."""
    LACKS = "lacks"
    """Something more could be used."""


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an installation."""

    part: str
    """`python`, `data`, `git`, `runtime`, ..."""
    state: Finding
    found: str
    """What is there, or what is wrong."""
    hint: str | None = None
    """What to do about it."""

"""Ids of traces and spans, made of what they are about: every process makes the same."""

from __future__ import annotations

import hashlib


def trace_id(run: str) -> int:
    """The trace of an outermost run and all that it calls."""
    return _number(16, "trace", run)


def run_span(run: str, leg: str) -> int:
    """A run, as one process drove it. `leg` is when that process began to drive the outermost one,
    as the ledger keeps it.
    """
    return _number(8, "run", run, leg)


def step_span(run: str, leg: str, path: str) -> int:
    """A step, as one process did it."""
    return _number(8, "step", run, leg, path)


def turn_span(turn: str) -> int:
    """A turn, by its id in the ledger."""
    return _number(8, "turn", turn)


def tool_span(turn: str, call: str) -> int:
    """A use of a tool, by the runtime's id of it."""
    return _number(8, "tool", turn, call)


def _number(size: int, *parts: str) -> int:
    """Never 0, which is no id."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:size]) or 1

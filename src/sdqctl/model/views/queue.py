"""Runs in a queue, as `sdqctl queue` shows them."""

from __future__ import annotations

from datetime import datetime

import msgspec


class QueuedRunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run that workers do."""

    number: int
    adapter: str
    name: str
    """The session's name."""
    label: str
    """What it was put in as: the component, or the session."""
    tag: str
    priority: int
    status: str
    """`queued`, `running`, `held` (its tag is paused), `paused` (a human is awaited), `completed`,
    `failed` or `cancelled`."""
    attempts: int
    """How often a worker began it."""
    worker: str | None
    message: str | None
    """Why it stopped."""
    exit_code: int | None
    """What `run` would have ended with."""
    steps_done: int | None
    steps_total: int | None
    enqueued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class TagView(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one tag."""

    tag: str
    paused: bool
    runs: dict[str, int]
    """How many there are in each state."""
    max_running: int | None
    """So many of them at a time; null: as many as there are workers."""
    max_running_in_all: int | None
    """So many runs of all tags at a time."""

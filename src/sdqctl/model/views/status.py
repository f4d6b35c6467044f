"""What `status --format json` writes."""

from __future__ import annotations

import msgspec

from sdqctl.model.health import Health, ToolNames
from sdqctl.model.sandbox import Held
from sdqctl.model.views.session import SessionView


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed, signed in and kept."""

    version: str
    """Of sdqctl."""
    home: str
    """Where the ledger lies."""
    configuration: list[str]
    """The files that were read."""
    configuration_places: list[str]
    """The files that would be read, if they were there."""
    missing: list[str]
    """What a run would fail for, with what to do about it, as far as it is known."""
    runtime: str
    """The runtime that a run would use, or why there is none."""
    provider: str
    """The model, or the account, behind it."""
    sandbox: Held
    sessions_by_status: dict[str, int]
    """How many sessions have each status."""
    sessions: list[SessionView] | msgspec.UnsetType = msgspec.UNSET
    """With `--sessions`."""
    adapters: list[Health] | msgspec.UnsetType = msgspec.UNSET
    """With `--adapters` or `--auth`."""
    models: list[str] | msgspec.UnsetType = msgspec.UNSET
    """With `--models`."""
    tools: dict[str, ToolNames] | msgspec.UnsetType = msgspec.UNSET
    """With `--adapters`: by the adapter's name."""

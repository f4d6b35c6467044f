"""Where an adapter and its archive find things: all that reading from disk has to load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.model.sandbox import NoSandbox, Sandbox


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """Where an adapter finds its runtime and keeps its data. Plain values, made by `config`.

    `environment` is what the runtime's own variables are read from.
    """

    data_dir: Path
    """sdqctl's own data folder (the mock's sessions lie in `mock/` below it)."""
    copilot_home: Path
    """The Copilot runtime's folder: `session-state/` lies below it."""
    runtime_path: Path | None = None
    """The runtime's program; None: looked up on PATH, then in the SDK's cache."""
    environment: Mapping[str, str] = field(default_factory=dict)
    sandbox: Sandbox = field(default_factory=NoSandbox)
    """The net that the runtime's processes are started in."""

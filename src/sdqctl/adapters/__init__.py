"""Runtimes behind one seam. The public way in: `get_adapter`, `get_archive`, `AdapterConfig`."""

from __future__ import annotations

from sdqctl.adapters.base import (
    Adapter,
    AdapterConfig,
    AdapterSession,
    AdapterSettings,
    Capability,
    Health,
    SessionArchive,
)
from sdqctl.adapters.registry import adapter_names, get_adapter, get_archive

__all__ = [
    "Adapter",
    "AdapterConfig",
    "AdapterSession",
    "AdapterSettings",
    "Capability",
    "CopilotAdapter",
    "Health",
    "MockAdapter",
    "SessionArchive",
    "adapter_names",
    "get_adapter",
    "get_archive",
]


def __getattr__(name: str) -> object:
    if name == "CopilotAdapter":
        from sdqctl.adapters.copilot.adapter import CopilotAdapter

        return CopilotAdapter
    if name == "MockAdapter":
        from sdqctl.adapters.mock import MockAdapter

        return MockAdapter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

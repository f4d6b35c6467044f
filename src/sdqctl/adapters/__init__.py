"""Runtimes behind one seam. The public way in: `get_adapter`, `get_archive`, `AdapterConfig`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.adapters.base import (
        Adapter,
        AdapterConfig,
        AdapterSession,
        Capability,
        Health,
        SessionArchive,
    )
    from sdqctl.adapters.copilot.adapter import CopilotAdapter
    from sdqctl.adapters.entry import AdapterEntry, Outlook
    from sdqctl.adapters.mock.adapter import MockAdapter
    from sdqctl.adapters.registry import adapter_names, get_adapter, get_archive
    from sdqctl.adapters.settings import AdapterSettings

__all__ = [
    "Adapter",
    "AdapterConfig",
    "AdapterEntry",
    "AdapterSession",
    "AdapterSettings",
    "Capability",
    "CopilotAdapter",
    "Health",
    "MockAdapter",
    "Outlook",
    "SessionArchive",
    "adapter_names",
    "get_adapter",
    "get_archive",
]
_PLACES = {
    "AdapterEntry": "entry",
    "AdapterSettings": "settings",
    "CopilotAdapter": "copilot.adapter",
    "MockAdapter": "mock.adapter",
    "Outlook": "entry",
    "adapter_names": "registry",
    "get_adapter": "registry",
    "get_archive": "registry",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is wanted: reading from disk needs few of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'base')}"), name)

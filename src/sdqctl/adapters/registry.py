"""Adapters by name. Nothing of an adapter is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from sdqctl.errors import UsageError

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings

_ADAPTERS = {
    "copilot": ("sdqctl.adapters.copilot.adapter", "CopilotAdapter"),
    "mock": ("sdqctl.adapters.mock", "MockAdapter"),
}
_ARCHIVES = {
    "copilot": ("sdqctl.adapters.copilot.disk", "CopilotArchive"),
    "mock": ("sdqctl.adapters.mock_disk", "MockArchive"),
}


def adapter_names() -> tuple[str, ...]:
    """The names that `get_adapter` knows."""
    return tuple(_ADAPTERS)


def get_adapter(name: str, settings: AdapterSettings) -> Adapter:
    """A new, not yet started adapter. Raises UsageError for an unknown name."""
    return cast("Adapter", _load(_ADAPTERS, name)(settings))


def get_archive(name: str, settings: AdapterSettings) -> SessionArchive:
    """The reader of an adapter's sessions on disk. Raises UsageError for an unknown name."""
    return cast("SessionArchive", _load(_ARCHIVES, name)(settings))


def _load(table: dict[str, tuple[str, str]], name: str) -> type:
    if name not in table:
        import difflib

        near = difflib.get_close_matches(name, table, n=1)
        known = ", ".join(table)
        hint = f"did you mean {near[0]}?" if near else f"known adapters: {known}"
        raise UsageError(f"unknown adapter {name!r}", hint=hint)
    module, cls = table[name]
    return cast("type", getattr(import_module(module), cls))

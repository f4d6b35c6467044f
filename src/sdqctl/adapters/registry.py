"""Adapters by name. Nothing of an adapter is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from sdqctl.errors import UsageError
from sdqctl.text.suggest import meant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.model.repository import RepositoryFile
    from sdqctl.model.sandbox import SandboxNeeds

_ADAPTERS = {
    "copilot": ("sdqctl.adapters.copilot.adapter", "CopilotAdapter"),
    "mock": ("sdqctl.adapters.mock.adapter", "MockAdapter"),
}
_ARCHIVES = {
    "copilot": ("sdqctl.adapters.copilot.disk", "CopilotArchive"),
    "mock": ("sdqctl.adapters.mock.archive", "MockArchive"),
}
_NEEDS = {"copilot": ("sdqctl.adapters.copilot.needs", "sandbox_needs")}
_REPOSITORIES = {"copilot": "sdqctl.adapters.copilot.repository_files"}
"""The adapters whose runtimes take more than text from a repository."""


def repository_files(root: Path, folder: Path) -> list[RepositoryFile]:
    """What would take effect in `folder`, a folder of the repository `root`, for any runtime."""
    found: dict[str, RepositoryFile] = {}
    for module in _REPOSITORIES.values():
        look: Callable[[Path, Path], list[RepositoryFile]]
        look = import_module(module).repository_files
        for file in look(root, folder):
            found.setdefault(file.path, file)
    return list(found.values())


def adapter_names() -> tuple[str, ...]:
    """The names that `get_adapter` knows."""
    return tuple(_ADAPTERS)


def get_adapter(name: str, settings: AdapterSettings) -> Adapter:
    """A new, not yet started adapter. Raises UsageError for an unknown name."""
    return cast("Adapter", _load(_ADAPTERS, name)(settings))


def get_archive(name: str, settings: AdapterSettings) -> SessionArchive:
    """The reader of an adapter's sessions on disk. Raises UsageError for an unknown name."""
    return cast("SessionArchive", _load(_ARCHIVES, name)(settings))


def sandbox_needs(name: str, settings: AdapterSettings) -> SandboxNeeds | None:
    """What a runtime's processes cannot do without; None: it starts none."""
    if name not in _NEEDS:
        return None
    module, function = _NEEDS[name]
    needs = getattr(import_module(module), function)
    return cast("SandboxNeeds", needs(settings))


def _load(table: dict[str, tuple[str, str]], name: str) -> type:
    if name not in table:
        raise UsageError(f"unknown adapter {name!r}", hint=meant(name, table, "adapters"))
    module, cls = table[name]
    return cast("type", getattr(import_module(module), cls))

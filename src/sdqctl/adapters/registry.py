"""Adapters by name: our own, and those of installed packages (entry points `sdqctl.adapters`).

Nothing of an adapter is imported before it is asked for. Packages are found by a look into the
folders of sys.path (0.5 ms for 50 packages; importing `importlib.metadata` alone takes 40).
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sdqctl.adapters.entry import AdapterEntry
from sdqctl.errors import AdapterBrokenError, SdqctlError, UsageError
from sdqctl.text.suggest import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from dataclasses import Field
    from pathlib import Path
    from typing import Any

    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.model.repository import RepositoryFile

GROUP = "sdqctl.adapters"
OWN = {
    "copilot": "sdqctl.adapters.copilot.entry:COPILOT",
    "mock": "sdqctl.adapters.mock.entry:MOCK",
    "opencode": "sdqctl.adapters.acp.entry:OPENCODE",
    "codex": "sdqctl.adapters.acp.entry:CODEX",
    "claude": "sdqctl.adapters.acp.entry:CLAUDE",
    "vibe": "sdqctl.adapters.acp.entry:VIBE",
    "qwen": "sdqctl.adapters.acp.entry:QWEN",
    "gemini": "sdqctl.adapters.acp.entry:GEMINI",
    "cline": "sdqctl.adapters.acp.entry:CLINE",
    "copilot-acp": "sdqctl.adapters.acp.entry:COPILOT_ACP",
}
"""The entry points of this package, as pyproject.toml has them: to find these no folder is read."""
_PACKAGE = "sdqctl"
_Made = TypeVar("_Made")
_declared: dict[str, AdapterEntry] = {}
"""What configuration files have added."""
_METADATA = (".dist-info", ".egg-info")


class _EntryPoint(NamedTuple):
    target: str
    """`module:attribute`."""
    package: str


def adapter_names() -> tuple[str, ...]:
    """The names of all adapters, ours first; none is loaded."""
    return (*_entry_points(), *_declared)


def declare(own: Mapping[str, object]) -> None:
    """Make known the adapters that a configuration adds; `own` is what it sets for adapters."""
    if own:
        for one in list(entries()):
            for further in one.declared(own):
                _declared.setdefault(further.name, further)


def entry(name: str) -> AdapterEntry:
    """One adapter's entry.

    Raises UsageError for an unknown name, AdapterBrokenError when its package does not work.
    """
    if name in OWN:
        return _loaded(name, _EntryPoint(OWN[name], _PACKAGE))
    if name in _declared:
        return _declared[name]
    known = _entry_points()
    if name not in known:
        raise UsageError(f"unknown adapter {name!r}", hint=meant(name, adapter_names(), "adapters"))
    return _loaded(name, known[name])


def entries(
    broken: Callable[[AdapterBrokenError], object] = lambda error: None,
) -> Iterator[AdapterEntry]:
    """The entries of all adapters that work; `broken` gets each other one."""
    for name, point in _entry_points().items():
        try:
            yield _loaded(name, point)
        except AdapterBrokenError as error:
            broken(error)
    yield from _declared.values()


def get_adapter(name: str, settings: AdapterSettings) -> Adapter:
    """A new, not yet started adapter. Raises what `entry` raises."""
    return _made(name, lambda: entry(name).adapter(settings))


def get_archive(name: str, settings: AdapterSettings) -> SessionArchive:
    """The reader of an adapter's sessions on disk. Raises what `entry` raises."""
    return _made(name, lambda: entry(name).archive(settings))


def own_settings() -> dict[str, Field[Any]]:
    """The settings that adapters declare, by name."""
    return {name: known for one in entries() for name, known in one.settings().items()}


def steering() -> tuple[str, ...]:
    """Globs of the files that steer any of the agents: one writes what another one obeys."""
    return tuple(dict.fromkeys(glob for one in entries() for glob in one.steering))


def repository_files(root: Path, folder: Path) -> list[RepositoryFile]:
    """What would take effect in `folder`, a folder of the repository `root`, for any agent."""
    found: dict[str, RepositoryFile] = {}
    for one in entries():
        for file in one.repository_files(root, folder):
            found.setdefault(file.path, file)
    return list(found.values())


@cache
def _loaded(name: str, point: _EntryPoint) -> AdapterEntry:
    module, _, attribute = point.target.partition(":")
    try:
        found = import_module(module.strip())
        for part in attribute.strip().split("."):
            found = getattr(found, part)
    except Exception as error:
        if point.package == _PACKAGE:
            raise  # a bug of ours
        raise _broken(name, point, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, AdapterEntry) or found.name != name:
        raise _broken(name, point, f"{point.target} is no AdapterEntry of the name {name!r}")
    return found


def _made(name: str, make: Callable[[], _Made]) -> _Made:
    """What an entry makes; it may import what is not there any more."""
    try:
        return make()
    except SdqctlError:
        raise
    except Exception as error:
        if name in OWN:
            raise
        why = f"{type(error).__name__}: {error}"
        raise _broken(name, _entry_points()[name], why) from error


def _broken(name: str, point: _EntryPoint, why: str) -> AdapterBrokenError:
    return AdapterBrokenError(
        f"the adapter {name!r} of the package {point.package} cannot be loaded: {why}",
        hint=f"update or uninstall {point.package}",
    )


def _entry_points() -> dict[str, _EntryPoint]:
    return _scan(tuple(sys.path))


@cache
def _scan(folders: tuple[str, ...]) -> dict[str, _EntryPoint]:
    """All entry points. The first of a name counts; nobody takes one of ours.

    What lies in the working directory is not installed, though Python may look there.
    """
    found = {name: _EntryPoint(target, _PACKAGE) for name, target in OWN.items()}
    here = _working_directory()
    for folder in dict.fromkeys(folders):
        if folder and os.path.abspath(folder) != here:
            for point_name, point in _points_in(folder):
                found.setdefault(point_name, point)
    return found


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _points_in(folder: str) -> Iterator[tuple[str, _EntryPoint]]:
    """The entry points of the packages in one folder of sys.path, in the packages' order."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_METADATA))
    except OSError:
        return
    for name in names:
        try:
            with open(f"{folder}/{name}/entry_points.txt", encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError):
            continue
        if GROUP in text:
            package = name.rpartition(".")[0].partition("-")[0]
            for point_name, target in _lines_of(text):
                yield point_name, _EntryPoint(target, package)


def _lines_of(text: str) -> Iterator[tuple[str, str]]:
    """Name and target of each line of our group; extras after the target do not count."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group == GROUP and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.partition("[")[0].strip()

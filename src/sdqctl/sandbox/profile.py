"""What a process may reach, worked out from mode, folders, rules and settings. Starts nothing."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.errors import SandboxError
from sdqctl.foreign import is_below, leads_out
from sdqctl.model.modes import may_write
from sdqctl.model.sandbox import Access, SandboxNeeds, SandboxPaths
from sdqctl.sandbox.places import (
    CACHES,
    CONFIGURATION,
    DEVICES,
    SHARED_MEMORY,
    SYSTEM,
    TOOLCHAINS,
    certificates,
    folders_of_programs,
    own_places,
)
from sdqctl.sandbox.repository import git_folders, work_tree

Known = dict[str, str]
"""Where paths lead, by their names."""
_GLOB = re.compile(r"[*?\[{]")
_MOST_MATCHES = 1000


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is let through; the rest is refused. Paths are whole trees, with links resolved."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    devices: tuple[str, ...] = DEVICES
    hidden: tuple[str, ...] = ()
    """Not reachable although they lie in a folder that is: what belongs to sdqctl."""
    ports: tuple[int, ...] | None = None
    """TCP ports that may be connected to; None: all."""
    sockets: bool = True
    """Whether Unix sockets may be used."""

    @property
    def paths(self) -> SandboxPaths:
        """The part of it that is about files."""
        return SandboxPaths(self.reads, self.writes, self.hidden)

    def allows(self, path: str, access: Access) -> bool:
        """Whether a path, with its links resolved, may be read or written."""
        granted = (*self.writes, *self.devices)
        granted += self.reads if access is Access.READ else ()
        deepest = max((len(g) for g in granted if is_below(path, g)), default=-1)
        return deepest > max((len(h) for h in self.hidden if is_below(path, h)), default=-1)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a profile is worked out from.

    `reads` and `writes` are the patterns of the user's rules, `folders` those of ALLOW-DIR,
    `caches` those of `sandbox_write`.
    """

    mode: str | None
    cwd: Path
    environment: Mapping[str, str]
    folders: Sequence[str] = ()
    reads: Sequence[str] = ()
    writes: Sequence[str] = ()
    caches: Sequence[str] = ()
    ports: Sequence[int] = ()
    needs: SandboxNeeds = field(default_factory=SandboxNeeds)
    hidden: Sequence[Path] = ()


def runtime_profile(wanted: Wanted, known: Known | None = None) -> Profile:
    """The net of a runtime with its tools: a reading mode writes nothing but what it needs.

    `known` is shared by the nets of one run. Raises SandboxError when what the runtime needs lies
    behind a link that opens nothing.
    """
    writing = may_write(wanted.mode)
    granted = _Granted(wanted, known)
    granted.reads += [str(path) for path in wanted.needs.reads]
    granted.writes += [str(path) for path in wanted.needs.writes]
    if writing:
        granted.add_building()
    profile = granted.profile(
        ports=None if writing else tuple(sorted({*wanted.ports, *wanted.needs.ports})),
        sockets=writing or wanted.needs.sockets,
    )
    granted.check(profile)
    return profile


def command_profile(wanted: Wanted, known: Known | None = None) -> Profile:
    """The net of RUN commands: the author wrote them, so MODE, which bounds the agent, does not
    keep them from writing in the working directory. `known` as above.
    """
    granted = _Granted(wanted, known)
    granted.add_building()
    return granted.profile(ports=None, sockets=True)


class _Granted:
    """Gathers what is granted."""

    def __init__(self, wanted: Wanted, known: Known | None) -> None:
        self._wanted = wanted
        self._known: Known = {} if known is None else known
        self._cwd = os.path.realpath(wanted.cwd)
        home = wanted.environment.get("HOME") or os.path.expanduser("~")
        self._home = os.path.realpath(home)
        self._git = git_folders(self._cwd)
        self._filled = self._filled_by_others()
        programs = folders_of_programs(wanted.environment, self._home)
        self.reads = [
            *SYSTEM,
            *self._in_home((*CONFIGURATION, *TOOLCHAINS)),
            *(p for p in programs if not is_below(self._home, os.path.realpath(p))),
            *certificates(wanted.environment),
            self._cwd,
            *self._git,
            *self._folders(),
            *(path for pattern in wanted.reads for path in self._named(pattern, Access.READ)),
        ]
        self.writes = [
            path for pattern in wanted.writes for path in self._named(pattern, Access.WRITE)
        ]
        self.devices = DEVICES

    def add_building(self) -> None:
        """What commands that build and test need."""
        top = work_tree(self._cwd)
        if top is not None and not is_below(self._home, top):
            self.reads.append(top)
        self.writes += [self._cwd, *self._git, *self._folders()]
        own = own_places()
        for path in self._in_home(CACHES):
            self._add_cache(path, own)
        self.writes += [os.path.expanduser(path) for path in self._wanted.caches]
        if not is_below(self._cwd, SHARED_MEMORY):  # where it is, it alone is opened there
            self.writes.append(SHARED_MEMORY)

    def _add_cache(self, path: str, own: Sequence[str]) -> None:
        """A cache to write; where this program itself lies in it (`uv tool install`), what lies
        around that: it works outside of the net.
        """
        real = os.path.realpath(path)
        if not any(is_below(place, real) for place in own):
            self.writes.append(path)
            return
        self.reads.append(path)
        if real not in own:
            for name in sorted(os.listdir(real)):
                self._add_cache(os.path.join(path, name), own)

    def profile(self, *, ports: tuple[int, ...] | None, sockets: bool) -> Profile:
        """What was gathered, with its links resolved."""
        writes = _resolved(self.writes, self._filled, self._known)
        hidden = _resolved(map(str, self._wanted.hidden), (), self._known)
        reads = _resolved(self.reads, self._filled, self._known)
        return Profile(
            reads=tuple(path for path in reads if path not in writes),
            writes=writes,
            hidden=tuple(path for path in hidden if path not in writes),
            ports=ports,
            sockets=sockets,
        )

    def check(self, profile: Profile) -> None:
        """Raise SandboxError when the runtime would not reach what it needs because of a link."""
        needs = self._wanted.needs
        for paths, access in ((needs.reads, Access.READ), (needs.writes, Access.WRITE)):
            for path in map(str, paths):
                real = os.path.realpath(path)
                if leads_out(path, self._filled) and not profile.allows(real, access):
                    raise SandboxError(
                        f"the runtime needs {path}, which leads to {real} by a link that a "
                        "repository or a tool may have left: the sandbox does not open it",
                        hint="remove the link, or give the runtime that place by its own name",
                    )

    def _filled_by_others(self) -> tuple[str, ...]:
        """The folders that a repository fills, or tools do in some mode."""
        caches = (os.path.expanduser(path) for path in self._wanted.caches)
        paths = (self._cwd, *self._git, *self._folders(), *self._in_home(CACHES), *caches)
        return tuple({_real(path, self._known) for path in paths})

    def _in_home(self, names: Iterable[str]) -> list[str]:
        return [f"{self._home}/{name}" for name in names]

    def _folders(self) -> list[str]:
        return [path for text in self._wanted.folders if (path := self._inside_or_named(text))]

    def _inside_or_named(self, text: str) -> str | None:
        """Where a path leads; None for one that seems to lie in the working directory and is a link
        out of it: a repository could bring that.
        """
        written = os.path.normpath(os.path.join(self._cwd, self._expanded(text)))
        return None if leads_out(written, (self._cwd,)) else os.path.realpath(written)

    def _named(self, pattern: str, access: Access) -> Iterator[str]:
        """What has to be reachable for a rule's pattern to mean anything."""
        text = self._expanded(pattern)
        if "/" not in text.rstrip("/"):
            text = "."  # a name alone means that name at any depth
        parts = text.split("/")
        plain = next((i for i, part in enumerate(parts) if _GLOB.search(part)), len(parts))
        folder = "/".join(parts[:plain]) or ("/" if text.startswith("/") else ".")
        found = self._inside_or_named(folder)
        if found is None:
            return
        if plain < len(parts) and is_below(self._home, found):
            yield from glob.glob(os.path.join(self._cwd, text))[:_MOST_MATCHES]
        elif access is Access.READ or os.path.isdir(found):
            yield found
        else:
            yield self._made_in(found)

    def _made_in(self, file: str) -> str:
        """The folder in which a file can be made or replaced; the file alone where that is HOME."""
        folder = os.path.dirname(file)
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        return file if is_below(self._home, folder) else folder

    def _expanded(self, text: str) -> str:
        return self._home + text[1:] if text == "~" or text.startswith("~/") else text


def _resolved(paths: Iterable[str], filled: Collection[str], known: Known) -> tuple[str, ...]:
    """Paths with links resolved, each once, without those that lie in another, nor those to which
    a link leads out of a folder that others fill.
    """
    kept: list[str] = []
    real = {
        real
        for path in paths
        if (real := _real(path, known)) == path or not leads_out(path, filled)
    }
    for path in sorted(real, key=lambda path: path.split("/")):
        if not kept or not is_below(path, kept[-1]):  # what lies in a folder comes right after it
            kept.append(path)
    return tuple(sorted(kept))


def _real(path: str, known: Known) -> str:
    """As `os.path.realpath`; what is known is not looked at again."""
    if path not in known:
        folder, name = os.path.split(path)
        if not name or not folder.startswith("/") or os.path.normpath(path) != path:
            return os.path.realpath(path)
        real = os.path.join(_real(folder, known), name)
        known[path] = os.path.realpath(real) if os.path.islink(real) else real
    return known[path]

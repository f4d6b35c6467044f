"""Where a path leads to: links are followed one component after the other, as the kernel does.

Programs differ in how they read `link/../x`: some hand it to the kernel, some drop `link/..` first.
A path therefore has readings, and each of them is judged.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass

_LONGEST = 4096
"""Bytes of a path that the kernel takes (PATH_MAX)."""
_MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7)); a link after that counts as a plain name."""
_OF_PROCESS = re.compile(
    r"/proc/[^/]+/(?:task/[^/]+/)?(?P<name>cwd|root|exe|fd/[^/]+|map_files/[^/]+|ns/[^/]+)"
)
"""Links that lead elsewhere for every process (proc(5))."""
_STREAMS = ("fd/0", "fd/1", "fd/2")
_OWN_PROCESS = ("/proc/self", "/proc/thread-self")


@dataclass(frozen=True)
class Place:
    """One reading of a path.

    `real` is where it leads to. `trail` has the paths that mean the same on the way there.
    """

    real: str
    trail: tuple[str, ...] = ()
    certain: bool = True
    """False: it passes a link that leads elsewhere for every process."""
    guessed: bool = True
    """Whether the trail of an uncertain one tells where it leads to."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that it is known by."""
        return (self.real, *self.trail)


Links = dict[str, str | None]
"""Where each path leads, None for what is no link: for paths that are judged at one moment."""


def readings(text: str, base: str, cwd: str, links: Links | None = None) -> tuple[Place, ...]:
    """What a program may take a path for. `base`: the folder a relative one starts in.

    `cwd` is where the program runs. Raises ValueError for what is no path.
    """
    if "\0" in text or len(text) > _LONGEST:
        raise ValueError("no path holds a NUL or is that long")
    written = os.path.join(base, os.path.expanduser(text))
    paths = dict.fromkeys((written, os.path.normpath(written)))
    found = [follow(path, cwd, links) for path in paths]
    if text.startswith("~"):
        plain = os.path.normpath(os.path.join(base, text))
        found = [Place(p.real, (*p.trail, plain), p.certain, p.guessed) for p in found]
    return tuple(dict.fromkeys(found))


def follow(path: str, cwd: str = "/", links: Links | None = None) -> Place:
    """An absolute path as the kernel reads it. What does not exist counts as a plain name."""
    return _Walk(path, cwd, {} if links is None else links).place()


def real_path(path: str) -> str:
    """Where an absolute path leads to."""
    return follow(path).real


class _Walk:
    """One path on its way: `_here` is done, `_rest` (the next one last) is to come."""

    def __init__(self, path: str, cwd: str, links: Links) -> None:
        self._here = "/"
        self._rest = path.split("/")[::-1]
        self._cwd = cwd
        self._links = links
        self._followed = 0
        self._trail: list[str] = []
        self._note(path)

    def place(self) -> Place:
        """Where it ends."""
        while self._rest:
            name = self._rest.pop()
            if name in ("", "."):
                continue
            if name == "..":
                self._here = posixpath.dirname(self._here)
                continue
            new = f"{self._here.rstrip('/')}/{name}"
            if new.startswith("/proc/") and (found := _OF_PROCESS.fullmatch(new)):
                return self._of_process(new, found["name"])
            self._step(new)
        return Place(self._here, tuple(dict.fromkeys(self._trail)))

    def _step(self, new: str) -> None:
        if new not in self._links:
            self._links[new] = None if new in _OWN_PROCESS else _target(new)
        target = self._links[new]
        if target is None or self._followed >= _MOST_LINKS:
            self._here = new
            return
        self._followed += 1
        self._note(posixpath.join(new, *self._rest[::-1]))
        if target.startswith("/"):
            self._here = "/"
        self._rest.extend(target.split("/")[::-1])

    def _of_process(self, link: str, name: str) -> Place:
        """What stands after a process's own link: its root is most likely ours."""
        rest = "/".join(self._rest[::-1])
        starts = {"root": ("/",), "cwd": (self._cwd,)}.get(name, ())
        trail = [*self._trail, link]
        for start in starts:
            inner = follow(posixpath.join(start, rest), self._cwd, self._links)
            trail += inner.paths
        guessed = link.startswith(_OWN_PROCESS) and (bool(starts) or name in _STREAMS)
        return Place(posixpath.join(link, rest), tuple(trail), certain=False, guessed=guessed)

    def _note(self, path: str) -> None:
        """Keep a name of the same place; one with `..` may be that of another."""
        if ".." not in path.split("/"):
            self._trail.append(posixpath.normpath(path))


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None

"""Links that a repository may bring along, or a tool may have left: they open nothing."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

_MOST_LINKS: Final = 40
"""Links that are followed on one way, as the kernel does (path_resolution(7))."""


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by their names."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def leads_out(path: str, folders: Collection[str]) -> bool:
    """Whether the way to a path goes by a link that lies in one of the folders, and ends outside of
    that folder. The folders are given with their links resolved.
    """
    ahead = os.path.abspath(path).split("/")[::-1]
    place = "/"
    left = set[str]()
    links = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            place = os.path.dirname(place)
        elif part not in ("", "."):
            name = os.path.join(place, part)
            try:
                target = os.readlink(name)
            except OSError:
                place = name
                continue
            links += 1
            left.update(folder for folder in folders if is_below(name, folder))
            if links > _MOST_LINKS:
                return bool(left)
            place = "/" if target.startswith("/") else place
            ahead += target.split("/")[::-1]
    return any(not is_below(place, folder) for folder in left)

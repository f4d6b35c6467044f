"""The files that an agent itself keeps of one session, where its profile knows them.

They go into a bundle as `agent/N/PATH`: N is the pattern of the profile, PATH what lies below the
folder that the pattern begins with. From a bundle nothing is taken but what the pattern has for the
session's id, and nothing that is there is written over.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sdqctl.adapters.acp.profiles import expanded
from sdqctl.errors import SessionUnusableError, StoreError
from sdqctl.fs import make_private_folder, sync_file

FOLDER = "agent"
LARGEST = 512 * 1024**2
"""Bytes of all files of a session together."""
_MOST = 2_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{5,127}")
_ALL_BELOW = "**"


class _Place(NamedTuple):
    """A pattern of a profile: a folder, and the parts of a path below it."""

    folder: Path
    parts: tuple[str, ...]

    def has(self, path: PurePosixPath, agent_id: str) -> bool:
        """Whether a path below the folder is one of the session's."""
        wanted = [part.replace("{id}", agent_id) for part in self.parts]
        found = path.parts
        if wanted[-1] == _ALL_BELOW:
            wanted = [*wanted[:-1], *["*"] * max(1, len(found) - len(wanted) + 1)]
        return len(found) == len(wanted) and all(map(fnmatchcase, found, wanted))


def own_files(
    patterns: Sequence[str], agent_id: str, environment: Mapping[str, str]
) -> list[tuple[str, Path]]:
    """The files that are there, by their name in a bundle; none where they are too large."""
    if not _ID.fullmatch(agent_id):
        return []
    found = [
        (f"{FOLDER}/{number}/{path.relative_to(place.folder).as_posix()}", path)
        for number, place in enumerate(_places(patterns, environment))
        for path in _files(place, agent_id)
    ]
    return found if sum(path.stat().st_size for _, path in found) <= LARGEST else []


def place_files(
    staged: Path, patterns: Sequence[str], agent_id: str | None, environment: Mapping[str, str]
) -> list[Path]:
    """Move the files of a bundle from a staged folder to where the agent looks for them.

    Returns those that were not there yet. Raises SessionUnusableError for files that are none of
    the session's, or too many or too large; nothing is left then.
    """
    source = staged / FOLDER
    files = [path for path in sorted(source.rglob("*")) if not path.is_dir()]
    places = _places(patterns, environment)
    targets = [(path, _target(path.relative_to(source), places, agent_id)) for path in files]
    if len(files) > _MOST or sum(path.lstat().st_size for path in files) > LARGEST:
        raise SessionUnusableError("the agent's files of the session are too many or too large")
    placed: list[Path] = []
    try:
        for path, target in targets:
            if _place(path, target):
                placed.append(target)
        shutil.rmtree(source)
    except (OSError, StoreError) as error:
        remove(placed)
        raise SessionUnusableError(f"the agent's files cannot be placed: {error}") from error
    return placed


def remove(placed: Sequence[Path]) -> None:
    """Take files away again that were placed."""
    for path in placed:
        with suppress(OSError):
            path.unlink()


def _target(name: Path, places: Sequence[_Place], agent_id: str | None) -> Path:
    number, below = name.parts[0], PurePosixPath(*name.parts[1:])
    place = places[int(number)] if number.isdecimal() and int(number) < len(places) else None
    known = agent_id is not None and _ID.fullmatch(agent_id) is not None
    if place is None or not known or ".." in below.parts or not place.has(below, agent_id or ""):
        raise SessionUnusableError(
            f"{name} is no file that the agent keeps of this session",
            hint="the bundle was made by another version, or tampered with",
        )
    return place.folder / below


def _place(path: Path, target: Path) -> bool:
    """Put a file where nothing is; whether it was put. Raises OSError and StoreError."""
    if path.is_symlink() or not path.is_file():
        raise OSError(f"{path.name} is no regular file")
    make_private_folder(target.parent)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-") as copy:
        with path.open("rb") as source:
            shutil.copyfileobj(source, copy)
        copy.flush()
        sync_file(copy.fileno())
        try:
            os.link(copy.name, target)
        except FileExistsError:
            return False
    return True


def _places(patterns: Sequence[str], environment: Mapping[str, str]) -> list[_Place]:
    return [_place_of(pattern, environment) for pattern in patterns]


def _place_of(pattern: str, environment: Mapping[str, str]) -> _Place:
    parts = pattern.split("/")
    first = next(n for n, part in enumerate(parts) if "*" in part or "{id}" in part)
    (folder,) = expanded(["/".join(parts[:first])], environment)
    return _Place(folder, tuple(parts[first:]))


def _files(place: _Place, agent_id: str) -> Iterator[Path]:
    """Regular files, no marks of a process that has the session open; none behind a link, which the
    agent's tools may have put there.
    """
    top = os.path.realpath(place.folder)
    pattern = "/".join(place.parts).replace("{id}", agent_id)
    if place.parts[-1] == _ALL_BELOW:
        pattern += "/*"
    for path in sorted(place.folder.glob(pattern)):
        real = os.path.join(top, path.relative_to(place.folder))
        if path.is_file() and os.path.realpath(path) == real and not _is_mark(path.name):
            yield path


def _is_mark(name: str) -> bool:
    return name.startswith("inuse.") or name.endswith(".lock")

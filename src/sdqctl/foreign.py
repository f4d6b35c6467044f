"""Reading what lies in a folder that may be a stranger's: through no link, once, and not too much.

A link could lead to a file that is trusted elsewhere, and a path could mean another file by the
time it is opened. Each part of a path is therefore opened from the folder before it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST_FILE = 1024 * 1024
"""Bytes of one file; more are not read."""
_LINK = "it is a link, or lies behind one"
_MOST_LINKS = 40
"""Links that are followed on one way, as the kernel does (path_resolution(7))."""


class UnsafeFileError(Exception):
    """A file that is not read, or not trusted, and why in a few words."""


def read_foreign(root: Path, relative: str, *, largest: int = LARGEST_FILE) -> bytes | None:
    """The content of a file below `root`; None when there is none.

    Raises UnsafeFileError for a link anywhere between, for what is no file, and for a large one.
    """
    *folders, name = relative.split("/")
    try:
        with _opened_folder(root, folders) as folder, _opened(name, folder) as handle:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UnsafeFileError("it is no file")
            with os.fdopen(os.dup(handle), "rb") as stream:
                data = stream.read(largest + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnsafeFileError(f"it cannot be read: {error.strerror}") from error
    if len(data) > largest:
        raise UnsafeFileError(f"it is larger than {largest} bytes")
    return data


def at_once(path: str, flags: int) -> int:
    """An `opener` for `open`: a pipe that a tool put in place of a file is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


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


def list_foreign(root: Path, folder: str, *, deep: bool = False) -> Iterator[str]:
    """The paths below a folder that are no folders, sorted; links are named and not followed.

    The folder itself is named when it is a link. One that is missing has none.
    """
    try:
        with _opened_folder(root, folder.split("/")) as handle:
            yield from _list(handle, folder, deep)
    except UnsafeFileError:
        yield folder
    except (FileNotFoundError, NotADirectoryError):
        return


def strangers_hand(root: Path, relative: str) -> str | None:
    """Who else could have written a file below `root`, or could at any moment; None: nobody.

    The file and each folder from `root` to it must be the user's or root's, and not be writable
    by everyone. Raises UnsafeFileError when they cannot be looked at.
    """
    file = root / relative
    for path in (*reversed(file.relative_to(root).parents), Path(relative)):
        what = "it" if path == Path(relative) else f"the folder {root / path}"
        try:
            found = (root / path).lstat()
        except OSError as error:
            raise UnsafeFileError(f"it cannot be read: {error.strerror}") from error
        if found.st_uid not in (os.geteuid(), 0):
            return f"{what} belongs to another user"
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_mode & stat.S_IWOTH and not sticky and not stat.S_ISLNK(found.st_mode):
            return f"{what} can be written by everyone"
    return None


@contextmanager
def _opened_folder(root: Path, parts: list[str]) -> Iterator[int]:
    """A descriptor of a folder, reached from `root` without a link."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = _open(part, handle, os.O_DIRECTORY)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    handle = _open(name, folder, os.O_NONBLOCK)  # a pipe without a writer would be waited for
    try:
        yield handle
    finally:
        os.close(handle)


def _open(name: str, folder: int, flags: int) -> int:
    try:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise UnsafeFileError(_LINK)
        mode = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags
        return os.open(name, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # it became one since
            raise UnsafeFileError(_LINK) from error
        raise


def _list(handle: int, folder: str, deep: bool) -> Iterator[str]:
    with os.scandir(handle) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{folder}/{entry.name}"
        if not entry.is_dir(follow_symlinks=False):
            yield path
        elif deep:
            below = _open(entry.name, handle, os.O_DIRECTORY)
            try:
                yield from _list(below, path, deep)
            finally:
                os.close(below)

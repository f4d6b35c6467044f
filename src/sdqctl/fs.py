"""Folders and files that only their owner can read, written whole."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sdqctl.errors import StoreError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_OPEN_FILES = Path("/dev/fd")


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone. Raises StoreError.

    Each is made by itself: `mkdir` with `parents` gives its mode to the last one alone.
    """
    try:
        missing = [above for above in (folder, *folder.parents) if not above.exists()]
        for above in reversed(missing):
            above.mkdir(mode=FOLDER_MODE, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise StoreError(
            f"the data folder {folder} cannot be made: {error.strerror}",
            hint="set SDQCTL_HOME to a folder that can be written",
        ) from error


@contextmanager
def replacing(path: Path, *, mode: int = FILE_MODE, lasting: bool = True) -> Iterator[BinaryIO]:
    """A new file to write, which takes the place of `path` at the end: whole, or not at all.

    File and name are on disk then; not `lasting` spares that for what is made again when it is
    gone. Raises OSError; when anything is raised, `path` is as it was.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fchmod(handle, mode)
            if lasting:
                sync_file(handle)
        os.replace(temporary, path)
        if lasting:
            _sync_folder(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


def led_to(path: Path) -> Path:
    """Where a path leads that the user names as an output: behind its links, and `/dev/fd/N` for
    an open file such as `/dev/stdout`.

    It is asked before anything runs: what runs may leave a link there, which is not followed.
    """
    at, open_files = path.absolute(), os.path.realpath(_OPEN_FILES)
    while not (at.name.isdigit() and os.path.realpath(at.parent) == open_files):
        if not at.is_symlink() or not at.exists():
            return Path(os.path.realpath(path))
        at = at.parent / at.readlink()
    return _OPEN_FILES / at.name


def identity(path: Path) -> object | None:
    """What all paths of one file have in common, however they are spelled and linked, also while
    it is not there. None for what takes in all that is written: a device, a FIFO, an open file.
    """
    if path.parent == _OPEN_FILES:
        return None
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def writing(path: Path, *, mode: int = FILE_MODE) -> Iterator[BinaryIO]:
    """An output that the user names (`led_to`), to write: a file is replaced, see `replacing`; a
    device, a FIFO and an open file are written to.

    Raises OSError, also for an open file that this process was not started with.
    """
    if path.parent == _OPEN_FILES and path.name.isdigit():
        if not os.get_inheritable(int(path.name)):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        with os.fdopen(os.dup(int(path.name)), "wb") as stream:
            yield stream
    elif path.is_symlink() or path.is_file() or not path.exists():
        with replacing(path, mode=mode) as stream:
            yield stream
    else:
        with path.open("wb") as stream:
            yield stream


@contextmanager
def folder_without_links(folder: Path) -> Iterator[int]:
    """A handle of the folder of a whole path, made where it is missing. None of the path's parts
    may be a link: somebody may have put one there since it was looked at. Raises OSError.
    """
    flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open("/", flags)
    try:
        for part in folder.parts[1:]:
            try:
                below = os.open(part, flags, dir_fd=handle)
            except FileNotFoundError:
                os.mkdir(part, dir_fd=handle)
                below = os.open(part, flags, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def replace_without_links(path: Path, data: bytes, *, new_mode: int) -> None:
    """Write a file whole, by a path that has no links; an older one keeps its mode.

    Raises OSError; an older file is as it was then.
    """
    temporary = f".new-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with folder_without_links(path.parent) as folder:
        try:
            mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode & 0o777
        except FileNotFoundError:
            mode = new_mode
        handle = os.open(temporary, flags, FILE_MODE, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(handle, mode)
                sync_file(handle)
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            _sync_folder(".", folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise


def write_private(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a file whole and at once, for the owner alone; see `replacing`. Raises StoreError."""
    try:
        with replacing(path, lasting=lasting) as stream:
            stream.write(data)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def sync_file(handle: int) -> None:
    """Have a file on disk. Raises OSError.

    On macOS fsync(2) leaves it in the drive's memory, which a power cut empties; some file systems
    know no more there.
    """
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):
            fcntl.fcntl(handle, full)
            return
    os.fsync(handle)


def _sync_folder(folder: Path | str, above: int | None = None) -> None:
    handle = os.open(folder, os.O_RDONLY, dir_fd=above)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

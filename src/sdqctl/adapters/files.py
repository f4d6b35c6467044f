"""Carrying a session's files: which they are, and putting them in place whole and at once."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from sdqctl.errors import SessionExistsError, SessionUnusableError
from sdqctl.fs import make_private_folder


def session_files(folder: Path) -> list[tuple[str, Path]]:
    """The regular files below a session's folder by relative name; no markers, locks or links.

    Raises SessionUnusableError when the folder cannot be read.
    """
    found = []
    try:
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            if path.is_file() and not path.is_symlink() and not _is_marker(path.name):
                found.append((relative, path))
    except OSError as error:
        raise SessionUnusableError(f"{folder} cannot be read: {error.strerror}") from error
    if not found:
        raise SessionUnusableError(f"{folder} holds no file of a session")
    return found


def make_stage(root: Path) -> Path:
    """A private folder on the same file system, with a name that no session has."""
    make_private_folder(root)
    try:
        return Path(tempfile.mkdtemp(prefix=".import-", dir=root))
    except OSError as error:
        raise SessionUnusableError(f"{root} cannot be written: {error.strerror}") from error


def install(staged: Path, target: Path) -> None:
    """Move a staged folder to its place. Raises SessionExistsError when that is taken."""
    if os.path.lexists(target):
        raise SessionExistsError(f"{target} is there already")
    try:
        os.rename(staged, target)
    except OSError as error:
        raise SessionUnusableError(f"{target} cannot be made: {error.strerror}") from error


def remove_folder(folder: Path) -> None:
    """Remove a session's folder: from one moment to the next it is none of a session."""
    staged = make_stage(folder.parent)
    folder.rename(staged / folder.name)
    shutil.rmtree(staged)


def _is_marker(name: str) -> bool:
    return name.startswith((".", "inuse.")) or name.endswith(".lock")

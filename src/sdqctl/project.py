"""The project around a folder, and its configuration file, which is read once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import UsageError
from sdqctl.foreign import UnsafeFileError, read_foreign

FILE_NAME = "sdqctl.toml"
_HEAD = re.compile(rb"ref:\s*refs/|[0-9a-f]{40}")
_LONGEST_HEAD = 256


@dataclass(frozen=True)
class ProjectFile:
    """A project's configuration file, read once: what is shown, trusted and used is one content."""

    root: Path
    """The folder of the project, without links."""
    name: str
    """The file's path below it."""
    data: bytes

    @property
    def path(self) -> Path:
        """The whole path."""
        return self.root / self.name


def project_folder(directory: Path) -> Path:
    """The folder of the project around a folder: the nearest that has `.git`, else the nearest
    that has a configuration file, else the folder itself; without links.

    A `.git` that git passes over, and so agents that ask git, ends a project only where there is no
    other above: what takes effect lies around it.
    """
    folder = Path(os.path.realpath(directory))
    above = (folder, *folder.parents)
    marked = [candidate for candidate in above if os.path.lexists(candidate / ".git")]
    found = [candidate for candidate in marked if _counts_for_git(candidate / ".git")]
    others = (candidate for candidate in above if os.path.lexists(candidate / FILE_NAME))
    return next(iter((*found[:1], *marked[:1], *others)), folder)


def _counts_for_git(mark: Path) -> bool:
    """Whether git goes no further up for certain (as is_git_directory of its setup.c looks)."""
    if mark.is_file():
        return True
    head = mark / "HEAD"
    try:
        if head.is_symlink() or (mark / "commondir").exists() or not head.is_file():
            return False
        with head.open("rb") as stream:
            is_head = _HEAD.match(stream.read(_LONGEST_HEAD)) is not None
    except OSError:
        return False
    return is_head and all(os.access(mark / part, os.X_OK) for part in ("objects", "refs"))


def project_file(directory: Path) -> ProjectFile | None:
    """The configuration file of the project around a folder: the nearest one.

    Raises UsageError when it is a link, lies behind one, or cannot be read.
    """
    folder, root = Path(os.path.realpath(directory)), project_folder(directory)
    for candidate in (folder, *folder.parents):
        path = candidate / FILE_NAME
        name = path.relative_to(root).as_posix()
        try:
            data = read_foreign(root, name)
        except UnsafeFileError as error:
            raise UsageError(
                f"{path}: {error}, so it is not read",
                hint="put a file in its place; runs have --no-repository-config",
            ) from error
        if data is not None:
            return ProjectFile(root, name, data)
        if candidate == root:
            return None
    return None

"""The project around a folder, and its configuration file, which is read once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import UsageError
from sdqctl.foreign import UnsafeFileError, read_foreign

FILE_NAME = "sdqctl.toml"


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
    """
    folder = Path(os.path.realpath(directory))
    above = (folder, *folder.parents)
    for name in (".git", FILE_NAME):
        for candidate in above:
            if os.path.lexists(candidate / name):
                return candidate
    return folder


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

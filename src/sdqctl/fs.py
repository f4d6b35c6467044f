"""Folders and files that only their owner can read, written whole."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from sdqctl.errors import StoreError

FOLDER_MODE = 0o700
FILE_MODE = 0o600


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


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole and at once, for the owner alone. Raises StoreError."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error

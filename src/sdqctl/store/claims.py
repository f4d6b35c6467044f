"""Names that a process has taken for a session that is not made yet.

Two runs of one file in the same second would choose one name; the file system lets one have it.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from sdqctl.errors import StoreError
from sdqctl.fs import FILE_MODE, make_private_folder

_KEPT_SECONDS = 86_400
"""Longer than any clock goes back by itself, so that a name by the time is not given twice."""


def claim_name(home: Path, name: str) -> bool:
    """Take a name; False when another process has it. Raises StoreError."""
    folder = home / "names"
    make_private_folder(folder)
    _forget_old(folder)
    key = hashlib.sha256(name.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    try:
        os.close(os.open(folder / key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    return True


def _forget_old(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if entry.stat().st_mtime < time.time() - _KEPT_SECONDS:
                os.unlink(entry.path)

"""Names that a process has taken for a session that is not made yet.

Two runs of one file at the same moment would choose one name; the file system lets one have it, for
as long as its process lives: by then the session or its run is recorded.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from sdqctl.errors import StoreError
from sdqctl.fs import FILE_MODE, make_private_folder
from sdqctl.process import is_same, start_mark

_KEPT_SECONDS = 86_400
"""After so long a claim is removed that nobody needs."""


def claim_name(home: Path, name: str) -> bool:
    """Take a name; False when a process that lives has it. Raises StoreError."""
    folder = home / "names"
    key = hashlib.sha256(name.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    try:
        make_private_folder(folder)
        _forget_old(folder)
        claims = [*folder.glob(f"{key}*")]
        if any(map(_is_held, claims)):
            return False
        turn = max((int(path.suffix[1:] or 0) for path in claims), default=0) + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        claim = os.open(folder / f"{key}.{turn}", flags, FILE_MODE)  # one process has this turn
        with os.fdopen(claim, "w") as file:
            file.write(f"{os.getpid()} {start_mark(os.getpid()) or ''}")
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    return True


def _is_held(claim: Path) -> bool:
    """Whether its process lives. One that was not written yet is just being taken."""
    try:
        pid, _, mark = claim.read_text().partition(" ")
        age = time.time() - claim.stat().st_mtime
    except FileNotFoundError:
        return False
    return is_same(int(pid), mark or None) if pid.isdecimal() else age < 1


def _forget_old(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if entry.stat().st_mtime < time.time() - _KEPT_SECONDS:
                os.unlink(entry.path)

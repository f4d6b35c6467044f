"""The temporary folder of a run: private, and removed at the end, if need be by a later run."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from sdqctl.errors import StoreError
from sdqctl.process import is_same, start_mark

_NAME = re.compile(r"sdqctl-(\w+)-(\d+)-(\d+)-\w+\Z")


def make_temporary() -> str:
    """A new folder, known by the process that has it. Raises StoreError when there is no place."""
    remove_left_behind()
    mark = start_mark(os.getpid()) or "0"
    prefix = f"sdqctl-{_namespace()}-{os.getpid()}-{mark if mark.isdecimal() else 0}-"
    try:
        return os.path.realpath(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise StoreError(
            f"no temporary folder can be made: {error.strerror}", hint="set TMPDIR"
        ) from error


def remove_temporary(folder: str) -> None:
    """Remove it with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_left_behind() -> None:
    """Remove the folders of this user's processes that were killed; a mark of 0 says nothing."""
    root = tempfile.gettempdir()
    for name in os.listdir(root) if os.path.isdir(root) else ():
        found = _NAME.match(name)
        if found is None or found.group(1) != _namespace() or found.group(3) == "0":
            continue
        folder = Path(root, name)
        try:
            ours = folder.lstat().st_uid == os.getuid()
        except OSError:
            continue
        if ours and not is_same(int(found.group(2)), found.group(3)):
            remove_temporary(str(folder))


def _namespace() -> str:
    """What tells process ids of this container from those of another with the same folder."""
    try:
        return re.sub(r"\D", "", os.readlink("/proc/self/ns/pid")) or "0"
    except OSError:
        return "0"

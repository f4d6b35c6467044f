"""Which project configuration files the user trusts: by path and content, until they change.

A project's file lies in a repository that may be a stranger's. What turns on permissions, names a
program or a folder of data counts only after `sdqctl trust`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sdqctl.files import make_private_folder, write_private

FILE_NAME = "trusted.json"


def is_trusted(home: Path, file: Path) -> bool:
    """Whether the user trusted this file as it is now. Raises OSError when it cannot be read."""
    return trusted_files(home).get(str(file.resolve())) == _digest(file)


def trust(home: Path, file: Path) -> None:
    """Trust a file as it is now. Raises OSError, StoreError."""
    _write(home, {**trusted_files(home), str(file.resolve()): _digest(file)})


def distrust(home: Path, file: Path) -> bool:
    """Take the trust back; tells whether there was any. Raises StoreError."""
    known = trusted_files(home)
    if known.pop(str(file.resolve()), None) is None:
        return False
    _write(home, known)
    return True


def trusted_files(home: Path) -> dict[str, str]:
    """The trusted paths with the digests of their content; a damaged record trusts nothing."""
    try:
        return msgspec.json.decode((home / FILE_NAME).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def _digest(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write(home: Path, known: dict[str, str]) -> None:
    make_private_folder(home)
    write_private(home / FILE_NAME, msgspec.json.format(msgspec.json.encode(known)))

"""What the user trusts: folders, with the digest of every file that takes effect there.

Each folder has a record of its own below `trust/` in sdqctl's data, so that two commands at a time
do not undo one another. A damaged record trusts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.errors import StoreError, UsageError
from sdqctl.fs import make_private_folder, write_private
from sdqctl.model.repository import content_digest, total_digest
from sdqctl.text.undecoded import is_decoded, readable

FOLDER = "trust"
FIRST_FILE = "trusted.json"
"""Where version 0.1 kept the digests of trusted configuration files, by path."""


class TrustRecord(msgspec.Struct, frozen=True, kw_only=True):
    """That a folder is trusted, and what lay in it then."""

    folder: str
    trusted_at: datetime
    files: dict[str, str]
    """Path below the folder -> digest of the content."""
    digest: str
    """Over all of them (`total_digest`)."""


def trust_record(home: Path, folder: Path) -> TrustRecord | None:
    """The record of a folder, if it is whole."""
    return _read(_path(home, str(folder)))


def trust(home: Path, folder: Path, files: Mapping[str, str]) -> None:
    """Trust a folder as it is now: path -> digest.

    Raises UsageError for a name that is not UTF-8, which no record holds, and StoreError.
    """
    for name in (str(folder), *files):
        if not is_decoded(name):
            raise UsageError(
                f"{readable(name)} is not UTF-8: it cannot be trusted by its name",
                hint="rename it",
            )
    record = TrustRecord(
        folder=str(folder),
        trusted_at=datetime.now(UTC),
        files=dict(files),
        digest=total_digest(files),
    )
    path = _path(home, str(folder))
    make_private_folder(path.parent)
    write_private(path, msgspec.json.format(msgspec.json.encode(record)))


def distrust(home: Path, folder: Path) -> bool:
    """Take the trust in a folder back; returns whether there was any. Raises StoreError."""
    known = {path: d for path, d in first_trusted(home).items() if not _lies_in(path, folder)}
    had = known != first_trusted(home)
    if had:
        write_private(home / FIRST_FILE, msgspec.json.format(msgspec.json.encode(known)))
    try:
        _path(home, str(folder)).unlink()
    except FileNotFoundError:
        return had
    except OSError as error:
        raise StoreError(f"the trust in {folder} cannot be removed: {error.strerror}") from error
    return True


def trust_records(home: Path) -> list[TrustRecord]:
    """All trusted folders, by name."""
    try:
        paths = [*(home / FOLDER).glob("*.json")]
    except OSError:
        return []
    records = [record for path in paths if (record := _read(path)) is not None]
    return sorted(records, key=lambda record: record.folder)


def first_trusted(home: Path) -> dict[str, str]:
    """What version 0.1 recorded: the path of a configuration file -> digest of its content."""
    try:
        return msgspec.json.decode((home / FIRST_FILE).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def was_trusted_first(home: Path, file: Path, data: bytes) -> bool:
    """Whether version 0.1 was told to trust a configuration file with this content."""
    return first_trusted(home).get(str(file)) == content_digest(data)


def _lies_in(path: str, folder: Path) -> bool:
    return Path(path).parent == folder


def _path(home: Path, folder: str) -> Path:
    name = content_digest(folder.encode("utf-8", "surrogatepass"))[:32]
    return home / FOLDER / f"{name}.json"


def _read(path: Path) -> TrustRecord | None:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=TrustRecord)
    except (OSError, msgspec.MsgspecError):
        return None
    return record if record.digest == total_digest(record.files) else None

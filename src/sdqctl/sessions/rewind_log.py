"""What the rewinds of a session kept: a record of each, with the session as it was, as a bundle.

They go into the trash with their session and come back with it.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.errors import StoreError
from sdqctl.fs import make_private_folder, write_private
from sdqctl.model.session import SessionRef

FOLDER = "rewinds"
_IN_TRASH = ".rewinds"
"""Ends the name of a folder in the trash, which is that of its session's bundle otherwise."""


class RewindRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One rewind: what it goes to, and what there was before it."""

    run_id: str
    to: str
    """The path of the last step that stays."""
    cwd: str | None
    keeper: str | None
    target: str | None
    """The commit that the files go to; None when they stay."""
    before: str | None
    """The commit of the files as they were."""
    conversation: bool
    """Whether the talk goes back, too; a bundle of the session lies beside the record then."""
    called: dict[str, tuple[str | None, str | None]] = {}
    """The runs in other sessions that the session's runs called before it (`links_from`)."""
    finished: bool = False
    attempts: int = 0
    """How many attempts and turns there were when it was finished: the talk may have gone on."""
    turns: int | None = None


@dataclass(frozen=True)
class RewindLog:
    """The records of one session's rewinds, by number, each with its bundle."""

    folder: Path

    @classmethod
    def of(cls, home: Path, ref: SessionRef) -> RewindLog:
        """Those of a session."""
        key = hashlib.sha256(f"{ref.adapter}/{ref.id}".encode()).hexdigest()[:16]
        return cls(home / FOLDER / key)

    @classmethod
    def of_deleted(cls, bundle: Path) -> RewindLog:
        """Those of the session of a bundle in the trash."""
        return cls(bundle.with_suffix(_IN_TRASH))

    def numbers(self) -> list[int]:
        """Which there are, the first one first."""
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))

    def next_number(self) -> int:
        """The number of a new one."""
        return max(self.numbers(), default=0) + 1

    def read(self, number: int) -> RewindRecord:
        """A record. Raises StoreError for a damaged one."""
        path = self._path(number)
        try:
            return msgspec.json.decode(path.read_bytes(), type=RewindRecord)
        except (OSError, msgspec.MsgspecError) as error:
            raise StoreError(f"{path} cannot be read: {error}") from error

    def unfinished(self) -> tuple[int, RewindRecord] | None:
        """The last one, if it was cut off."""
        numbers = self.numbers()
        record = self.read(numbers[-1]) if numbers else None
        return (numbers[-1], record) if record is not None and not record.finished else None

    def write(self, number: int, record: RewindRecord) -> None:
        """Write a record down. Raises StoreError."""
        make_private_folder(self.folder)
        write_private(self._path(number), msgspec.json.format(msgspec.json.encode(record)))

    def bundle(self, number: int) -> Path:
        """Where the session as it was lies."""
        make_private_folder(self.folder)
        return self.folder / f"{number:04}.sdqctl"

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.glob("*"))

    def remove(self, number: int) -> None:
        """Remove a record with its bundle."""
        self._path(number).unlink(missing_ok=True)
        self.bundle(number).unlink(missing_ok=True)
        with suppress(OSError):  # others are kept in it
            self.folder.rmdir()

    def remove_all(self) -> None:
        """Remove them all for good; what cannot be removed stays."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def move(self, to: RewindLog) -> None:
        """Make them those of `to`, if there are any. Raises StoreError."""
        if not self.folder.is_dir():
            return
        to.remove_all()
        make_private_folder(to.folder.parent)
        try:
            self.folder.replace(to.folder)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be moved: {error.strerror}") from error

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:04}.json"

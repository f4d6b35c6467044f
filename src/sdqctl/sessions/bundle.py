"""A session as one file: a zip with a manifest, the runtime's files, ledger rows and workflows.

Reading trusts nothing: names, kinds, counts, sizes and checksums are held before a byte is kept.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, Self

import msgspec

from sdqctl.closing import Closing
from sdqctl.errors import BundleError, StoreError
from sdqctl.fs import make_private_folder, replacing
from sdqctl.model.session import SessionInfo
from sdqctl.store.transfer import SessionRows, check_rows

if TYPE_CHECKING:
    from sdqctl.sessions.redaction import Cleaner

FORMAT = "sdqctl-bundle"
VERSION = 1
VERSION_WITH_FILES = 2
"""Of a bundle that has a work tree, too."""
_MANIFEST = "manifest.json"
_LEDGER = "ledger.json"
_SESSION = "session/"
_WORKFLOWS = "workflows/"
_FILES = "files.gitbundle"
_MOST_FILES = 20_000
_LARGEST = 2 * 1024**3
"""Bytes of all files of a bundle together, unpacked."""
_LONGEST_NAME = 255
"""Bytes of one part of a path, as file systems have it."""
_LARGEST_RECORD = 256 * 1024**2
_CHUNK = 1024 * 1024
_UNREADABLE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    RuntimeError,
)
"""What `zipfile` raises, by experiment, for archives with flipped bits and made-up fields."""


Opened = Callable[[Path], AbstractContextManager[BinaryIO]]
"""`replacing` or `writing`: for what is sdqctl's own, or what the user names."""


class _File(msgspec.Struct, frozen=True):
    size: int
    sha256: str


class CarriedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The work tree in a bundle, as snapshots in a bundle of git's."""

    base: str
    """The commit that the snapshots were made on; it has to be where they go."""
    snapshot: str
    """The last one."""
    keeper: str
    """The git folder that they come from, as the ledger's rows name it."""
    inside: str
    """The session's working directory, from the top of the tree."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says of itself."""

    format: str
    version: int
    adapter: str
    session: SessionInfo
    created_at: datetime
    files: dict[str, _File]
    workspace: CarriedFiles | None = None


def write_bundle(
    target: Path,
    *,
    info: SessionInfo,
    files: Iterable[tuple[str, Path]],
    rows: SessionRows,
    workflows: Mapping[str, str],
    cleaner: Cleaner | None = None,
    workspace: tuple[CarriedFiles, Path] | None = None,
    steady: bool = False,
    opened: Opened = replacing,
) -> None:
    """Write a bundle whole and at once, for the owner alone, as `opened` does. Raises StoreError.

    `workflows`: each run's workflow by its id. A `cleaner` takes the secrets out of all but the
    snapshots of a `workspace`. `steady`: what stays the same leaves the same bytes: uncompressed.
    """
    if cleaner is not None:
        rows, workflows = cleaner.rows(rows, workflows)
    try:
        with opened(target) as stream, _zip(stream, steady=steady) as archive:
            sums = {}
            for name, path in files:
                content = _content(path) if cleaner is None else cleaner.file(name, path)
                if content is not None:
                    sums[_SESSION + name] = _add_content(archive, _SESSION + name, content)
            for run_id, text in workflows.items():
                name = f"{_WORKFLOWS}{run_id}.conv"
                sums[name] = _add(archive, name, text.encode("utf-8", "surrogatepass"))
            if workspace is not None:
                sums[_FILES] = _add_content(archive, _FILES, _content(workspace[1]))
            lines = msgspec.json.format(msgspec.json.encode(rows), indent=1)
            sums[_LEDGER] = _add(archive, _LEDGER, lines)
            manifest = Manifest(
                format=FORMAT,
                version=VERSION if workspace is None else VERSION_WITH_FILES,
                adapter=info.adapter,
                session=info,
                created_at=datetime.now(UTC),
                files=sums,
                workspace=None if workspace is None else workspace[0],
            )
            _add(archive, _MANIFEST, msgspec.json.encode(manifest))
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from error


def _zip(stream: IO[bytes], *, steady: bool) -> zipfile.ZipFile:
    if steady:
        return zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED)
    return zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=3)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> _File:
    archive.writestr(name, data)
    return _File(len(data), hashlib.sha256(data).hexdigest())


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _add_content(archive: zipfile.ZipFile, name: str, content: Iterable[bytes]) -> _File:
    size, digest = 0, hashlib.sha256()
    with archive.open(name, "w", force_zip64=True) as target:
        for chunk in content:
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return _File(size, digest.hexdigest())


@dataclass
class Bundle(Closing):
    """An open bundle whose table of contents was found sound. Close it, or use it in a `with`."""

    path: Path
    manifest: Manifest
    _archive: zipfile.ZipFile

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open and check a bundle. Raises BundleError."""
        if not path.is_file():
            raise BundleError(f"there is no bundle {path}")
        try:
            archive = zipfile.ZipFile(path)
        except _UNREADABLE as error:
            raise BundleError(f"{path} is no bundle: {error}") from error
        try:
            return cls(path, _checked(path, archive), archive)
        except BaseException:
            archive.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def rows(self) -> SessionRows:
        """The ledger's rows. Raises BundleError for what cannot be rows of a ledger."""
        try:
            rows = msgspec.json.decode(self._read(_LEDGER), type=SessionRows)
            check_rows(rows)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BundleError(f"{self.path}: {_LEDGER} is damaged: {error}") from error
        return rows

    def workflows(self) -> dict[str, str]:
        """The workflows' texts by run. Raises BundleError for one that is no text."""
        return {
            name.removeprefix(_WORKFLOWS).removesuffix(".conv"): self._text(name)
            for name in self.manifest.files
            if name.startswith(_WORKFLOWS)
        }

    def _text(self, name: str) -> str:
        try:
            return self._read(name).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise BundleError(f"{self.path}: {name} is no text: {error}") from error

    def unpack(self, folder: Path) -> None:
        """Write the session's files below a folder, each checked. Raises BundleError."""
        for name in self.manifest.files:
            if name.startswith(_SESSION):
                target = folder / name.removeprefix(_SESSION)
                make_private_folder(target.parent)
                self._write(name, target)

    def unpack_snapshots(self, target: Path) -> None:
        """Write git's bundle with the snapshots, checked. Raises BundleError."""
        self._write(_FILES, target)

    def _write(self, name: str, target: Path) -> None:
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise BundleError(f"{self.path}: {name}: {error.strerror}") from error
        with os.fdopen(handle, "wb") as stream:
            self._copy(name, stream)

    def _read(self, name: str) -> bytes:
        if self.manifest.files[name].size > _LARGEST_RECORD:
            raise BundleError(f"{self.path}: {name} is too large")
        with tempfile.SpooledTemporaryFile(max_size=_LARGEST_RECORD) as stream:
            self._copy(name, stream)
            stream.seek(0)
            return stream.read()

    def _copy(self, name: str, target: IO[bytes]) -> None:
        """Copy one file, no further than its declared size, and compare its checksum."""
        expected = self.manifest.files[name]
        left, digest = expected.size, hashlib.sha256()
        try:
            with self._archive.open(name) as source:
                while chunk := source.read(min(_CHUNK, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        break
                    digest.update(chunk)
                    target.write(chunk)
        except _UNREADABLE as error:
            raise BundleError(f"{self.path}: {name} cannot be read: {error}") from error
        if left != 0 or digest.hexdigest() != expected.sha256:
            raise BundleError(f"{self.path}: {name} is not what was exported (checksum)")


def _checked(path: Path, archive: zipfile.ZipFile) -> Manifest:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if _MANIFEST not in names or _LEDGER not in names:
        raise BundleError(f"{path} is no bundle of sdqctl: it has no {_MANIFEST}")
    if len(entries) > _MOST_FILES or len(set(names)) != len(names):
        raise BundleError(f"{path}: too many files, or one of them twice")
    for entry in entries:
        if problem := _problem(entry):
            raise BundleError(f"{path}: {entry.filename!r} {problem}")
    if sum(entry.file_size for entry in entries) > _LARGEST:
        raise BundleError(f"{path} is larger than 2 GiB unpacked")
    manifest = _manifest(path, archive)
    is_with_files = manifest.version == VERSION_WITH_FILES
    if not is_with_files == (_FILES in names) == (manifest.workspace is not None):
        raise BundleError(f"{path}: its work tree is not that of its manifest")
    if set(manifest.files) | {_MANIFEST} != set(names):
        raise BundleError(f"{path}: its files are not those of its manifest")
    return manifest


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """What is wrong with one entry's name or kind."""
    name, parts = entry.filename, PurePosixPath(entry.filename).parts
    own = name in (_MANIFEST, _LEDGER, _FILES) or name.startswith((_SESSION, _WORKFLOWS))
    unsafe = (
        not own
        or ".." in parts
        or name.startswith("/")
        or "//" in name
        or any(char in name for char in '\\:\0"')
        or str(PurePosixPath(name)) != name
        or any(part.startswith("inuse.") for part in parts)
    )
    if unsafe:
        return "is no name of a bundle's file"
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        return "is too long for a file's name"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is no regular file"
    return "is encrypted" if entry.flag_bits & 1 else None


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    if archive.getinfo(_MANIFEST).file_size > _LARGEST_RECORD:
        raise BundleError(f"{path}: its manifest is too large")
    try:
        raw = msgspec.json.decode(archive.read(_MANIFEST), type=dict[str, object])
    except (*_UNREADABLE, msgspec.MsgspecError) as error:
        raise BundleError(f"{path}: its manifest is damaged: {error}") from error
    if raw.get("format") != FORMAT:
        raise BundleError(f"{path} is no bundle of sdqctl")
    version = raw.get("version")
    if version not in (VERSION, VERSION_WITH_FILES):
        raise BundleError(
            f"{path} is a bundle of version {version}; this sdqctl reads versions up to "
            f"{VERSION_WITH_FILES}",
            hint="use the sdqctl that wrote it, or a newer one",
        )
    try:
        return msgspec.convert(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{path}: its manifest is damaged: {error}") from error

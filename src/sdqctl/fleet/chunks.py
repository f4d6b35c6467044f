"""A file in pieces whose borders its content says: a change leaves the others as they were."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sdqctl.errors import BundleError

LARGEST = 256 * 1024
"""Bytes of a piece."""
_SMALLEST = 8 * 1024
_READ = 64 * 1024
_ONE_IN = 8
"""Of the lines after which a piece may end, how many do: a piece has some lines more then."""
_LOOKED_AT = 64
_LEVEL = 6


@dataclass(frozen=True)
class Piece:
    """Where a piece of a file is, and the digest of what is in it."""

    digest: bytes
    start: int
    size: int


def pieces(stream: BinaryIO) -> Iterator[Piece]:
    """The pieces of a whole file, in order."""
    start, held = 0, bytearray()
    while data := stream.readline(_READ):
        if held and len(held) + len(data) > LARGEST:
            yield _piece(held, start)
            start, held = start + len(held), bytearray()
        held += data
        if len(held) >= _SMALLEST and zlib.crc32(data[-_LOOKED_AT:]) % _ONE_IN == 0:
            yield _piece(held, start)
            start, held = start + len(held), bytearray()
    if held:
        yield _piece(held, start)


def packed(stream: BinaryIO, piece: Piece) -> bytes:
    """The content of a piece, compressed."""
    stream.seek(piece.start)
    return zlib.compress(stream.read(piece.size), _LEVEL)


def unpacked(data: bytes, digest: bytes) -> bytes:
    """What was compressed. Raises BundleError for what is not what its digest says."""
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(data, LARGEST + 1)
    except zlib.error as error:
        raise BundleError(f"a piece of the state is damaged: {error}") from error
    if len(content) > LARGEST or hashlib.sha256(content).digest() != digest:
        raise BundleError("a piece of the state is not what was published (checksum)")
    return content


def _piece(content: bytearray, start: int) -> Piece:
    return Piece(hashlib.sha256(content).digest(), start, len(content))

"""A file in pieces, whatever is in it."""

from __future__ import annotations

import hashlib
import io
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdqctl.errors import BundleError
from sdqctl.fleet.chunks import LARGEST, packed, pieces, unpacked


@given(st.lists(st.tuples(st.binary(max_size=20), st.integers(1, 40_000)), max_size=20))
def test_the_pieces_of_a_file_make_the_file(parts: list[tuple[bytes, int]]) -> None:
    data = b"".join(part * times for part, times in parts)
    stream = io.BytesIO(data)
    found = list(pieces(stream))
    assert all(0 < piece.size <= LARGEST for piece in found)
    assert b"".join(unpacked(packed(stream, p), p.digest) for p in found) == data


def test_a_change_and_an_addition_leave_the_other_pieces() -> None:
    rng = random.Random(7)
    lines = [rng.randbytes(rng.randrange(20, 900)).hex().encode() + b"\n" for _ in range(4_000)]
    before = {piece.digest for piece in pieces(io.BytesIO(b"".join(lines)))}
    lines[1_000:1_001] = [b"changed\n", b"more\n"]
    after = {piece.digest for piece in pieces(io.BytesIO(b"".join([*lines, b"grown\n"])))}
    assert len(before) > 50
    assert len(after - before) <= 4


def test_a_piece_that_is_not_what_was_published_is_refused() -> None:
    stream = io.BytesIO(b"something\n" * 2_000)
    piece = next(iter(pieces(stream)))
    for data in (b"x", packed(stream, piece)[:-9], packed(io.BytesIO(b"other"), piece)):
        with pytest.raises(BundleError):
            unpacked(data, piece.digest)
    bomb = io.BytesIO(bytes(64 * LARGEST))
    with pytest.raises(BundleError):
        unpacked(zlib.compress(bomb.read()), hashlib.sha256(bomb.read()).digest())

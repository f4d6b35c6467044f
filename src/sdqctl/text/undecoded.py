"""Bytes that are no UTF-8, as names of files and arguments may have them.

Python keeps each in its strings as half of a character (PEP 383), which nothing can encode but a
file's name: no ledger, no JSON, no runtime.
"""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")


def is_decoded(text: str) -> bool:
    """Whether a text can be recorded and sent: it has no such bytes."""
    return text.isascii() or _HALF.search(text) is None


def readable(text: str) -> str:
    """The text with such bytes written out: `caf\\xe9`."""
    return text if is_decoded(text) else _HALF.sub(lambda match: shown(match.group()), text)


def shown(half: str) -> str:
    """What one of them is written out as."""
    code = ord(half)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

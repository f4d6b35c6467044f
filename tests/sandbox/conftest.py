"""The place that the tests of the nets work in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.confined import Place, place


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Place]:
    """A project, a secret outside, and nets whose temporary folders are removed."""
    found = place(tmp_path)
    with found.nets:
        yield found

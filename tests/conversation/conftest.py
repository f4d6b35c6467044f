"""The bench on which workflows are tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversation.bench import Bench


@pytest.fixture
def bench(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Workflows run on the mock."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    return Bench(home, project)

"""What tests of traces share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.telemetry.collector import Collector


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    with Collector() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        yield collector

"""A store for each test, on one server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.machines import Fleet
from tests.fleet.postgres import new_database, served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """The server of this test run."""
    base = tmp_path_factory.getbasetemp()
    with served((base if worker_id == "master" else base.parent) / "postgres") as address:
        yield address


@pytest.fixture
def fleet(server: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Machines that run workflows on the mock and share an empty store."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    folder = tmp_path / "fleet"
    folder.mkdir()
    return Fleet(folder, new_database(server))

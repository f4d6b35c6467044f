"""The whole adapter contract on the pinned agents, offline."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.testing.loopback import LoopbackModel
from tests.agents.installed import INSTALLED, WANTED, environment, order
from tests.contract.on_loopback import LoopbackContract


class _Agent(LoopbackContract):
    forks_at_turns = False

    @pytest.fixture(autouse=True)
    def _told(self, record_property: Callable[[str, object], None]) -> None:
        if self.name not in WANTED:
            pytest.skip("it is not among the agents to try")
        record_property("agent", self.name)
        record_property("contract", True)

    @pytest.fixture
    def settings(self, home: Path, model: LoopbackModel) -> AdapterSettings:
        own = {**os.environ, **environment(self.name, model, home / "agent")}
        return AdapterSettings(data_dir=home / "sdqctl", environment=own)

    def writing(self, path: Path) -> str:
        return order(INSTALLED[self.name].write(path), "written")


class TestOpenCode(_Agent):
    name = "opencode"
    moves = False


class TestCodex(_Agent):
    name = "codex"


class TestClaude(_Agent):
    name = "claude"

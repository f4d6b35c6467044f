"""The adapter contract on the embedded mock."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.testing.contract import AdapterContract


class TestMock(AdapterContract):
    name = "mock"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> AdapterSettings:
        return AdapterSettings(data_dir=tmp_path / "data", copilot_home=tmp_path / "copilot")

    def answering(self, answer: str) -> str:
        return f"Say it. [[reply: {answer}]]"

    def refused(self) -> str:
        return "[[fail: request]]"

    def stalling(self) -> str:
        return "Wait. [[stall]]"

    def writing(self, path: Path) -> str:
        return f"[[tool: write {path} text]] [[reply: written]]"

"""The contract that every adapter passes, as its author runs it: against what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.testing.contract import AdapterContract


class TestEcho(AdapterContract):
    """The prompts that make the echo answer, refuse, stall and write."""

    name = "echo"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> AdapterSettings:
        """A data folder of the test's own."""
        return AdapterSettings(data_dir=tmp_path / "data")

    def answering(self, answer: str) -> str:
        """It says that again."""
        return answer

    def refused(self) -> str:
        """It refuses to say this."""
        return "refuse"

    def stalling(self) -> str:
        """It waits at this."""
        return "wait"

    def writing(self, path: Path) -> str:
        """It writes a file."""
        return f"write {path}"

"""The adapter contract on the real Copilot runtime with the loopback model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.testing.contract import AdapterContract
from sdqctl.testing.loopback import LoopbackModel
from tests.conftest import RUNTIME


@pytest.mark.runtime
class TestCopilot(AdapterContract):
    name = "copilot"

    @pytest.fixture
    def settings(self, home: Path, model: LoopbackModel) -> AdapterSettings:
        return AdapterSettings(
            data_dir=home / "sdqctl",
            copilot_home=home / "copilot",
            runtime_path=RUNTIME,
            environment=dict(os.environ),
        )

    def answering(self, answer: str) -> str:
        return f"Say it. [[reply: {answer}]]"

    def refused(self) -> str:
        return "[[status: 400]]"

    def stalling(self) -> str:
        return "Wait. [[hang: x1]]"

    def writing(self, path: Path) -> str:
        arguments = json.dumps({"path": str(path), "file_text": "text"})
        return f"[[tool: create {arguments}]] [[reply: written]]"

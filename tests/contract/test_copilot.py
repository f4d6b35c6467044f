"""The adapter contract on the real Copilot runtime with the loopback model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.testing.loopback import LoopbackModel
from tests.conftest import RUNTIME
from tests.contract.on_loopback import LoopbackContract


@pytest.mark.runtime
@pytest.mark.each(4)
class TestCopilot(LoopbackContract):
    name = "copilot"

    @pytest.fixture
    def settings(self, home: Path, model: LoopbackModel) -> AdapterSettings:
        return AdapterSettings(
            data_dir=home / "sdqctl",
            copilot_home=home / "copilot",
            runtime_path=RUNTIME,
            environment=dict(os.environ),
        )

    def writing(self, path: Path) -> str:
        arguments = json.dumps({"path": str(path), "file_text": "text"})
        return f"[[tool: create {arguments}]] [[reply: written]]"

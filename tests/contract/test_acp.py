"""The adapter contract on agents of the Agent Client Protocol: the scripted one, and a real one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.adapters.acp.archive import AcpArchive
from sdqctl.adapters.acp.powers import adapter_for
from sdqctl.adapters.acp.profiles import Profile
from sdqctl.adapters.base import Adapter, SessionArchive
from sdqctl.testing.acp_agent import command
from sdqctl.testing.contract import AdapterContract
from sdqctl.testing.loopback import LoopbackModel
from tests.conftest import RUNTIME
from tests.contract.on_loopback import LoopbackContract

SCRIPTED = Profile(command=tuple(command()), title="the scripted agent", forks=True, deletes=True)


class TestScriptedAgent(AdapterContract):
    name = "scripted"
    forks_at_turns = False

    @pytest.fixture
    def settings(self, home: Path) -> AdapterSettings:
        environment = {**os.environ, "FAKE_ACP_HOME": str(home / "agent")}
        return AdapterSettings(data_dir=home / "sdqctl", environment=environment)

    def adapter(self, settings: AdapterSettings) -> Adapter:
        return adapter_for(self.name, SCRIPTED, settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        return AcpArchive(self.name, settings)

    def answering(self, answer: str) -> str:
        return f"Say it. [[reply: {answer}]]"

    def refused(self) -> str:
        return "[[fail: -32603 400 Bad Request]]"

    def stalling(self) -> str:
        return "Wait. [[hang: x1]]"

    def writing(self, path: Path) -> str:
        return f"[[write: {path} text]] [[reply: written]]"


@pytest.mark.runtime
@pytest.mark.each(8)
class TestCopilotOverAcp(LoopbackContract):
    name = "copilot-acp"

    @pytest.fixture
    def settings(self, home: Path, model: LoopbackModel) -> AdapterSettings:
        environment = {**os.environ, "PATH": f"{RUNTIME.parent}{os.pathsep}{os.environ['PATH']}"}
        return AdapterSettings(data_dir=home / "sdqctl", environment=environment)

    @pytest.mark.thorough  # it starts the runtime for each name
    def test_names_that_are_allowed_are_kept_and_found(
        self, settings: AdapterSettings, folder: Path
    ) -> None:
        super().test_names_that_are_allowed_are_kept_and_found(settings, folder)

    def writing(self, path: Path) -> str:
        arguments = json.dumps({"path": str(path), "file_text": "text"})
        return f"[[tool: create {arguments}]] [[reply: written]]"

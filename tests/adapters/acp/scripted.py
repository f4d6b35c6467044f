"""The scripted agent under the real command line: an agent that the user's configuration adds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sdqctl.adapters.acp.checks import Check, keep_check
from sdqctl.testing.acp_agent import command


class Scripted:
    """Where it keeps its sessions, and what switches it has. Its version 1.0 was checked."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = home / "agent"
        self._patch = patch
        self._file = home / "sdqctl.toml"
        patch.setenv("SDQCTL_CONFIG", str(self._file))
        patch.setenv("SDQCTL_ADAPTER", "scripted")
        patch.setenv("FAKE_ACP_HOME", str(self.home))
        self.configure()
        passed = Check(
            version="1.0", asks=True, heeds=True, restores=True, checked_at=datetime.now(UTC)
        )
        keep_check(home / "sdqctl", "scripted", passed)

    def configure(self, **settings: object) -> None:
        """Write the agent's table."""
        own = {"command": command(), "forks": True, "deletes": True, "folders": [str(self.home)]}
        self._file.write_text("", "utf-8")
        self.add("scripted", **{**own, **settings})

    def add(self, name: str, **settings: object) -> None:
        """Write the table of one more agent."""
        lines = "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"[agents.{name}]\n{lines}")

    def switch(self, **switches: object) -> None:
        """Set what the agent can do and how it goes wrong."""
        self._patch.setenv("FAKE_ACP", json.dumps(switches))

    def sessions(self) -> list[dict[str, Any]]:
        """What it keeps."""
        return [json.loads(file.read_text("utf-8")) for file in self.home.glob("*.json")]

    def prompts(self) -> list[str]:
        """The prompts of its one session."""
        (session,) = self.sessions()
        return [turn["prompt"] for turn in session["turns"]]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_toml(each)}' for name, each in value.items())} }}"
    return json.dumps(value)


@pytest.fixture
def scripted(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """An agent named `scripted`, which commands use by default."""
    return Scripted(home, monkeypatch)

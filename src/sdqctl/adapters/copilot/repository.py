"""What a repository may bring into a session of the runtime, at create and at resume alike.

What runs, or steers what runs, is off until the repository is trusted: hooks (`.github/hooks`,
and those of `.github/copilot/settings*.json` and `.claude/settings*.json`), MCP servers, agents,
skills, plugins, extensions and language servers. Instructions (AGENTS.md, `.github/instructions`
and the like) are text for the model and stay on, as long as they are the repository's own text:
the runtime follows links, so one that leads out of the repository would tell the model any file.
What lies in COPILOT_HOME is the user's own and stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdqctl.project import project_folder

_INSTRUCTIONS = (
    "AGENTS.md",
    "CLAUDE.md",
    "GEMINI.md",
    ".claude/CLAUDE.md",
    ".github/copilot-instructions.md",
)
_SERVERS = ".mcp.json"
"""At the top of the repository; the only one of several such files that runtime 1.0.102 reads."""
_INSTRUCTION_FOLDERS = (".github/instructions", ".claude/rules")


def repository_options(folder: Path, *, trusted: bool, create: bool) -> dict[str, Any]:
    """The SDK's options for what the repository around `folder` brings.

    `enable_config_discovery=False` alone leaves hooks on, `enable_file_hooks=False` alone leaves
    agents, skills and MCP servers to the folder trust that the native client keeps. That trust
    can be lent to a new session only: a resumed one gets the MCP servers.
    """
    options: dict[str, Any] = {
        "enable_file_hooks": trusted,
        "enable_config_discovery": trusted,
        "enable_on_demand_instruction_discovery": trusted,
        "request_extensions": trusted,
    }
    if trusted and create:
        options["trust_working_directory"] = "session"
    elif trusted and (servers := _servers(_places(folder)[-1] / _SERVERS)):
        options["mcp_servers"] = servers
    return options


def stray_instruction(folder: Path) -> Path | None:
    """An instruction file that leads out of the repository around `folder`; None: there is none."""
    places = _places(folder)
    top = places[-1]
    for place in places:
        for path in _instructions(place):
            if path.exists() and not Path(os.path.realpath(path)).is_relative_to(top):
                return path
    return None


def _servers(file: Path) -> dict[str, Any]:
    """The MCP servers of a file; one that cannot be read has none, as for the runtime."""
    try:
        found = json.loads(file.read_bytes())["mcpServers"]
        return {str(name): {"tools": ["*"], **server} for name, server in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _places(folder: Path) -> list[Path]:
    """The folder and its parents up to the top of its repository; all without links."""
    start, top = Path(os.path.realpath(folder)), project_folder(folder)
    return [place for place in (start, *start.parents) if place.is_relative_to(top)]


def _instructions(place: Path) -> Iterator[Path]:
    for name in _INSTRUCTIONS:
        yield place / name
    for name in _INSTRUCTION_FOLDERS:
        yield place / name
        for parent, folders, files in os.walk(place / name):
            yield from (Path(parent, entry) for entry in (*folders, *files))

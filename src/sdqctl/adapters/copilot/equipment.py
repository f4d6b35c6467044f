"""What a workflow gives its agent, as the SDK takes it. The runtime forgets it at resume."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from sdqctl.adapters.base import AdapterConfig
from sdqctl.errors import RuntimeFailure
from sdqctl.model.tools import McpServer

if TYPE_CHECKING:
    from sdqctl.adapters.copilot.session import CopilotSession


def equipment_options(config: AdapterConfig) -> dict[str, Any]:
    """The SDK's options for it."""
    options: dict[str, Any] = {}
    if config.system_message:
        options["system_message"] = {"mode": "append", "content": config.system_message}
    if config.agents:
        folders = dict.fromkeys(str(path.parent) for path in config.agents.values())
        options["agent_directories"] = list(folders)
    if config.skills:
        options["skill_directories"] = [str(folder) for folder in config.skills]
    if config.servers:
        options["mcp_servers"] = {server.name: _server(server) for server in config.servers}
    return options


async def require_servers(session: CopilotSession, config: AdapterConfig) -> None:
    """Raise RuntimeFailure for an MCP server that did not start: the runtime says nothing of it."""
    failed = await session.failed_servers() if config.servers else []
    for server in config.servers:
        if server.name in failed:
            await session.close()
            started = shlex.join(server.command) or server.url
            raise RuntimeFailure(
                f"the MCP server {server.name} did not start: {started}",
                hint="try its command by itself; in the sandbox it reads the working directory, "
                "the system's programs, and what ALLOW-DIR names",
            )


def _server(server: McpServer) -> dict[str, Any]:
    if server.url is not None:
        return {"type": "http", "url": server.url, "headers": server.headers, "tools": ["*"]}
    program, *arguments = server.command
    found = {"type": "local", "command": program, "args": arguments, "tools": ["*"]}
    return {**found, "env": server.environment} if server.environment else found

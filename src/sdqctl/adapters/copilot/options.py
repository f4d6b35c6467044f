"""What a session is opened with: the same at create and at resume, for the runtime forgets most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdqctl.adapters.base import AdapterConfig
from sdqctl.adapters.copilot.calls import tool_name
from sdqctl.adapters.copilot.equipment import equipment_options
from sdqctl.adapters.copilot.permissions import SessionSide, ToolJudge
from sdqctl.adapters.copilot.provider import provider_from
from sdqctl.adapters.copilot.session import CopilotSession
from sdqctl.adapters.copilot.settings import copilot_home
from sdqctl.adapters.copilot.toolbox import available_tools, excluded_tools
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.model.session import SessionInfo
from sdqctl.model.tools import ToolDecision, ToolRequest


def session_options(
    config: AdapterConfig,
    settings: AdapterSettings,
    info: SessionInfo,
    folder: Path,
    sessions: Sequence[CopilotSession],
) -> dict[str, Any]:
    """The SDK's options. `folder` is the working directory; `sessions` holds the session once open.

    The judge sits before each tool as well as on permission requests: either may refuse.
    """
    judge = _judge(config, copilot_home(settings) / "session-state" / info.id, folder, sessions)
    options: dict[str, Any] = {
        "client_name": "sdqctl",
        "working_directory": str(folder),
        "streaming": config.streaming,
        "on_permission_request": judge.on_permission_request,
        "hooks": {"on_pre_tool_use": judge.before_tool},
        "available_tools": available_tools(config.policy, trusted=config.trust_repository),
        "excluded_tools": [
            *excluded_tools(trusted=config.trust_repository),
            *map(tool_name, config.excluded_tools),
        ],
    }
    options |= equipment_options(config)
    environment = settings.environment
    provider = provider_from(environment)
    if provider is not None:
        options["provider"] = provider
    model = config.model or (environment.get("COPILOT_MODEL") or None)
    if model is not None:
        options["model"] = model
    if not config.history_store:
        options["enable_session_store"] = False
    if infinite := _infinite_sessions(config):
        options["infinite_sessions"] = infinite
    return options


def with_repository(options: dict[str, Any], brought: dict[str, Any]) -> dict[str, Any]:
    """The options with those of what a repository brings; of servers of a name, not its own."""
    servers = {**brought.get("mcp_servers", {}), **options.get("mcp_servers", {})}
    return {**options, **brought, **({"mcp_servers": servers} if servers else {})}


def _judge(
    config: AdapterConfig, session_folder: Path, folder: Path, sessions: Sequence[CopilotSession]
) -> ToolJudge:
    def told(request: ToolRequest, decision: ToolDecision) -> None:
        for session in sessions:
            session.told(request, decision)

    async def flush() -> None:
        for session in sessions:
            await session.flush()

    async def caught_up() -> None:
        for session in sessions:
            await session.caught_up()

    async def servers() -> Sequence[str]:
        return [name for session in sessions for name in await session.mcp_servers()]

    side = SessionSide(
        told=told,
        flush=flush,
        caught_up=caught_up,
        servers=servers,
        folder=session_folder,
        working_directory=folder,
        trusted=config.trust_repository,
    )
    return ToolJudge(config.policy, side)


def _infinite_sessions(config: AdapterConfig) -> dict[str, Any]:
    """The settings of automatic compaction that were given."""
    found = {
        "enabled": config.infinite_sessions,
        "background_compaction_threshold": config.compaction_threshold,
        "buffer_exhaustion_threshold": config.compaction_maximum,
    }
    return {name: value for name, value in found.items() if value is not None}

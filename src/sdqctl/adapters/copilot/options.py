"""What a session is opened with: the same at create and at resume, for the runtime forgets most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdqctl.adapters.base import AdapterConfig
from sdqctl.adapters.copilot.permissions import permission_handler
from sdqctl.adapters.copilot.provider import provider_from
from sdqctl.adapters.copilot.session import CopilotSession
from sdqctl.adapters.copilot.toolbox import available_tools, excluded_tools
from sdqctl.model.tools import ToolDecision, ToolRequest


def session_options(
    config: AdapterConfig,
    environment: Mapping[str, str],
    folder: Path,
    sessions: Sequence[CopilotSession],
) -> dict[str, Any]:
    """The SDK's options. `sessions` holds the session once it is open."""

    def told(request: ToolRequest, decision: ToolDecision) -> None:
        for session in sessions:
            session.told(request, decision)

    async def flush() -> None:
        for session in sessions:
            await session.flush()

    options: dict[str, Any] = {
        "client_name": "sdqctl",
        "working_directory": str(folder),
        "streaming": config.streaming,
        "on_permission_request": permission_handler(config.policy, told, flush),
        "available_tools": available_tools(trusted=config.trust_repository),
        "excluded_tools": excluded_tools(trusted=config.trust_repository),
    }
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


def _infinite_sessions(config: AdapterConfig) -> dict[str, Any]:
    """The settings of automatic compaction that were given."""
    found = {
        "enabled": config.infinite_sessions,
        "background_compaction_threshold": config.compaction_threshold,
        "buffer_exhaustion_threshold": config.compaction_maximum,
    }
    return {name: value for name, value in found.items() if value is not None}

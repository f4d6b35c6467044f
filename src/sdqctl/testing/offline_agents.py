"""Agents with the loopback model behind them: what `agents check --offline` and the tests use.

What each needs to be pointed at a model was found by experiment (docs/agents.md).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sdqctl.adapters.acp.checks import Check
from sdqctl.adapters.acp.entry import AcpEntry
from sdqctl.adapters.acp.inspection import check_agent
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import UsageError
from sdqctl.testing.loopback import MODEL, LoopbackModel


class Offline(NamedTuple):
    """How one agent is used offline."""

    environment: Mapping[str, str]
    shell: Callable[[str], str]
    """The prompt on which the scripted model has it run a command."""


def offline(agent: str, model: LoopbackModel, home: Path) -> Offline:
    """Point an agent at a loopback model; its own files lie in `home`.

    Raises UsageError for an agent that the loopback model cannot answer.
    """
    make = _AGENTS.get(agent)
    if make is None:
        raise UsageError(
            f"the loopback model does not know how {agent} is pointed at it",
            hint=f"it can be checked with your own account, or choose of {', '.join(_AGENTS)}",
        )
    return make(model, home)


async def check_offline(entry: AcpEntry, settings: AdapterSettings) -> Check:
    """`check_agent` with the loopback model. Raises what that does, and what `offline` raises."""
    with tempfile.TemporaryDirectory(prefix="sdqctl-agent-") as home, LoopbackModel() as model:
        given = offline(entry.name, model, Path(home))
        own = settings.with_environment({**settings.environment, **given.environment})
        return await check_agent(entry, own, offline=True, order=given.shell)


def _tool(name: str, argument: str = "command") -> Callable[[str], str]:
    def prompt(command: str) -> str:
        arguments = {argument: command, "description": "run it"}
        return f"[[tool: {name} {json.dumps(arguments)}]] [[reply: done]]"

    return prompt


def _copilot(model: LoopbackModel, home: Path) -> Offline:
    environment = {**model.environment(), "COPILOT_HOME": str(home / "copilot")}
    return Offline(environment, _tool("bash"))


def _opencode(model: LoopbackModel, home: Path) -> Offline:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": model.base_url, "apiKey": "loopback"},
        "models": {MODEL: {"limit": {"context": 128000, "output": 8000}}},
    }
    configuration = {
        "autoupdate": False,
        "share": "disabled",
        "model": f"fake/{MODEL}",
        "small_model": f"fake/{MODEL}",
        "provider": {"fake": provider},
    }
    environment = {
        **_home(home),
        "OPENAI_BASE_URL": model.base_url,  # whose port the sandbox lets it reach
        "OPENCODE_CONFIG_CONTENT": json.dumps(configuration),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }
    return Offline(environment, _tool("bash"))


def _codex(model: LoopbackModel, home: Path) -> Offline:
    folder = home / "codex"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(_CODEX.format(model=MODEL, address=model.base_url), "utf-8")
    environment = {
        **_home(home),
        "CODEX_HOME": str(folder),
        "LOOPBACK_KEY": "loopback",
        "OPENAI_API_KEY": "loopback",
        "OPENAI_BASE_URL": model.base_url,  # whose port the sandbox lets it reach
    }
    return Offline(environment, _codex_shell)


def _codex_shell(command: str) -> str:
    """It asks for what is to run outside its own sandbox alone."""
    arguments = {
        "cmd": command,
        "sandbox_permissions": "require_escalated",
        "justification": "run it",
    }
    return f"[[tool: exec_command {json.dumps(arguments)}]] [[reply: done]]"


def _claude(model: LoopbackModel, home: Path) -> Offline:
    environment = {
        **_home(home),
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "ANTHROPIC_BASE_URL": model.base_url.removesuffix("/v1"),
        "ANTHROPIC_API_KEY": "loopback",
        "ANTHROPIC_AUTH_TOKEN": "loopback",
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_SMALL_FAST_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_TELEMETRY": "1",
        "IS_SANDBOX": "1",
    }
    return Offline(environment, _tool("Bash"))


def _scripted(model: LoopbackModel, home: Path) -> Offline:
    environment = {"FAKE_ACP_HOME": str(home / "agent")}
    return Offline(environment, lambda command: f"[[run: {command}]] [[reply: done]]")


def _home(home: Path) -> dict[str, str]:
    folders = {"CONFIG": "config", "DATA": "data", "STATE": "state"}
    places = {f"XDG_{name}_HOME": str(home / folder) for name, folder in folders.items()}
    return {"HOME": str(home), **places}


_CODEX = """\
model = "{model}"
model_provider = "loopback"
approval_policy = "on-request"
sandbox_mode = "read-only"
[model_providers.loopback]
name = "Loopback"
base_url = "{address}"
env_key = "LOOPBACK_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
[features]
apps = false
plugins = false
"""
_AGENTS = {
    "copilot-acp": _copilot,
    "opencode": _opencode,
    "codex": _codex,
    "claude": _claude,
    "scripted": _scripted,
}

"""Where agents look in a repository for what makes them run something: settings, hooks, servers.

Over the protocol no agent can be told to leave them alone, so a session is not opened where a
repository that is not trusted brings one. From the agents' own documentation and programs, in the
versions of profiles.toml.
"""

from __future__ import annotations

from pathlib import Path

from sdqctl.adapters.repository_files import Place, files_at
from sdqctl.errors import CapabilityError
from sdqctl.project import project_folder

_MCP = Place("MCP server", ".mcp.json")
_CLAUDE = (
    _MCP,
    Place("settings", ".claude/settings.json"),
    Place("settings", ".claude/settings.local.json"),
    Place("hook", ".claude/hooks", folder=True),
    Place("agent", ".claude/agents", folder=True),
    Place("skill", ".claude/skills", folder=True),
    Place("command", ".claude/commands", folder=True),
)
_OWN = {
    "opencode": (
        Place("settings", "opencode.json"),
        Place("settings", "opencode.jsonc"),
        Place("settings", ".opencode", folder=True),
    ),
    "codex": (Place("settings", ".codex", folder=True),),
    "claude": _CLAUDE,
    "vibe": (Place("settings", ".vibe", folder=True),),
    "qwen": (Place("settings", ".qwen", folder=True),),
    "gemini": (Place("settings", ".gemini", folder=True),),
    "cline": (Place("settings", ".cline", folder=True), _MCP),
}


def places_of(agent: str) -> tuple[Place, ...]:
    """Where an agent looks; one that is not known may look anywhere that any of them does."""
    if agent == "copilot-acp":
        from sdqctl.adapters.copilot.repository_files import PLACES

        return PLACES
    return _OWN.get(agent, tuple({place for places in _OWN.values() for place in places}))


def refuse_untrusted(agent: str, folder: Path) -> None:
    """Raise CapabilityError where the repository around a folder brings what takes effect."""
    folder = folder.resolve()
    found = files_at(places_of(agent), project_folder(folder), folder)
    if found:
        names = ", ".join(file.path for file in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise CapabilityError(
            f"{agent} would obey what this repository brings, and it is not trusted: {names}{more}",
            hint="`sdqctl trust` shows what it would run, and lets it",
        )

"""Where the Copilot runtime looks in a repository for what takes effect, when it is let.

The places are names in the program of runtime 1.0.102, and what its SDK says of
`enable_config_discovery` and `enable_file_hooks`.
"""

from __future__ import annotations

from sdqctl.adapters.repository_files import Place

PLACES = (
    Place("hook", ".github/hooks", folder=True),
    Place("settings", ".github/copilot", folder=True),
    Place("settings", ".claude/settings.json"),
    Place("settings", ".claude/settings.local.json"),
    Place("language server", ".github/lsp.json"),
    Place("language server", ".lsp.json"),
    Place("MCP server", ".mcp.json"),
    Place("MCP server", ".github/mcp.json"),
    Place("MCP server", ".vscode/mcp.json"),
    Place("agent", ".github/agents", folder=True),
    Place("agent", ".claude/agents", folder=True),
    Place("agent", ".agents/agents", folder=True),
    Place("skill", ".github/skills", folder=True),
    Place("skill", ".claude/skills", folder=True),
    Place("skill", ".agents/skills", folder=True),
    Place("extension", ".github/extensions", folder=True),
    Place("plugin", "plugin.json"),
    Place("plugin", ".github/plugin.json"),
    Place("plugin", ".github/plugin", folder=True),
    Place("plugin", ".plugin", folder=True),
    Place("plugin", ".claude-plugin", folder=True),
    Place("command", ".claude/commands", folder=True),
    Place("command", ".github/prompts", folder=True),
)

"""Files of a repository that the Copilot runtime obeys, so that no agent writes them unasked.

From the names in the runtime's own programs (1.0.102), and what ran when it was tried: hooks and
settings start commands, `lsp.json` and server lists start programs, agents and skills bring tools.
"""

from __future__ import annotations

STEERING = (
    ".copilot",
    ".github/agents",
    ".github/copilot",
    ".github/extensions",
    ".github/hooks",
    ".github/lsp.json",
    ".github/mcp.json",
    ".github/plugin",
    ".github/skills",
    ".lsp.json",
    ".mcp.json",
    ".vscode/mcp.json",
    ".claude",
    ".claude-plugin",
    ".plugin",
)
"""As globs for `build_policy`. Instructions are not among them: they are text for the model."""

"""The runtime's tools that are known here; a session is given no other.

Names: runtime 1.0.102 (`tools.list`, and the tools of a request). A tool of a newer runtime is out
until it is known what it does and how its arguments are judged.
"""

from __future__ import annotations

from sdqctl.model.tools import ToolKind

KNOWN_TOOLS = {
    "view": ToolKind.READ,
    "grep": ToolKind.READ,
    "rg": ToolKind.READ,
    "glob": ToolKind.READ,
    "bash": ToolKind.SHELL,
    "read_bash": ToolKind.SHELL,
    "stop_bash": ToolKind.SHELL,
    "list_bash": ToolKind.SHELL,
    "create": ToolKind.WRITE,
    "edit": ToolKind.WRITE,
    "apply_patch": ToolKind.WRITE,
    "web_fetch": ToolKind.URL,
    "sql": ToolKind.OTHER,
    "skill": ToolKind.OTHER,
    "task": ToolKind.OTHER,
    "read_agent": ToolKind.OTHER,
    "list_agents": ToolKind.OTHER,
    "write_agent": ToolKind.OTHER,
}
"""What each tool does; OTHER: nothing outside of its session (a sub-agent's tools are judged)."""
TRUSTED_TOOLS = ("lsp",)
"""Tools that start programs which the repository names, and ask nobody."""


def available_tools(*, trusted: bool) -> list[str]:
    """The tools that exist in a session and its sub-agents, in the SDK's form."""
    names = (*KNOWN_TOOLS, *(TRUSTED_TOOLS if trusted else ()))
    return [*(f"builtin:{name}" for name in names), "mcp:*", "custom:*"]


def excluded_tools(*, trusted: bool) -> list[str]:
    """The tools that must not exist, whatever else is said."""
    return [] if trusted else list(TRUSTED_TOOLS)

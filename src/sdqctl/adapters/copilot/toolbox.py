"""The runtime's tools that are known here; a session is given no other.

Names and arguments: runtime 1.0.102 (`tools.list` for several models, and the tools of a request).
A tool of a newer runtime is out until it is known what it does and how its arguments are judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sdqctl.model.tools import ToolKind, ToolPolicy, may_allow


@dataclass(frozen=True)
class KnownTool:
    """What a tool does, and the arguments that it takes.

    OTHER: nothing outside of its session; what a sub-agent's tools do is judged by itself.
    """

    kind: ToolKind
    arguments: frozenset[str] = frozenset()
    asks: bool = False
    """Whether the runtime asks for permission, and names exactly what the tool will touch."""


def _tool(kind: ToolKind, arguments: str = "", *, asks: bool = False) -> KnownTool:
    return KnownTool(kind, frozenset(arguments.split()), asks)


_SEARCH = "pattern paths path output_mode glob type -i -A -B -C -n head_limit multiline"
"""`path` is taken like `paths`, though the runtime does not say so."""

KNOWN_TOOLS = {
    "view": _tool(ToolKind.READ, "path view_range forceReadLargeFiles", asks=True),
    "grep": _tool(ToolKind.READ, _SEARCH),
    "rg": _tool(ToolKind.READ, _SEARCH),
    "glob": _tool(ToolKind.READ, "pattern paths path"),
    "bash": _tool(
        ToolKind.SHELL, "command description shellId mode detach initial_wait", asks=True
    ),
    "read_bash": _tool(ToolKind.SHELL, "shellId delay"),
    "stop_bash": _tool(ToolKind.SHELL, "shellId"),
    "list_bash": _tool(ToolKind.SHELL),
    "create": _tool(ToolKind.WRITE, "path file_text", asks=True),
    "edit": _tool(ToolKind.WRITE, "path old_str new_str", asks=True),
    "apply_patch": _tool(ToolKind.WRITE),
    "web_fetch": _tool(ToolKind.URL, "url max_length start_index raw"),
    "sql": _tool(ToolKind.OTHER, "description query"),
    "skill": _tool(ToolKind.OTHER, "skill"),
    "task": _tool(
        ToolKind.OTHER,
        "description prompt agent_type name model reasoning_effort context_tier mode",
    ),
    "read_agent": _tool(ToolKind.OTHER, "agent_id wait timeout since_turn"),
    "list_agents": _tool(ToolKind.OTHER, "include_completed scope"),
    "write_agent": _tool(ToolKind.OTHER, "agent_id agent_ids scope message"),
}
TRUSTED_TOOLS = ("lsp",)
"""Tools that start programs which the repository names, and ask nobody."""


def available_tools(policy: ToolPolicy, *, trusted: bool) -> list[str]:
    """The tools that exist in a session and its sub-agents, in the SDK's form.

    What the policy never allows does not exist: a session that only reads has no shell.
    """
    names = [name for name, tool in KNOWN_TOOLS.items() if may_allow(policy, tool.kind)]
    found = [f"builtin:{name}" for name in (*names, *(TRUSTED_TOOLS if trusted else ()))]
    sources = {"mcp:*": ToolKind.MCP, "custom:*": ToolKind.CUSTOM}
    return found + [source for source, kind in sources.items() if may_allow(policy, kind)]


def excluded_tools(*, trusted: bool) -> list[str]:
    """The tools that must not exist, whatever else is said."""
    return [] if trusted else list(TRUSTED_TOOLS)


def unknown_tools(names: Iterable[str]) -> list[str]:
    """Those of a runtime's tools that no session is given."""
    return sorted({*names} - {*KNOWN_TOOLS, *TRUSTED_TOOLS})

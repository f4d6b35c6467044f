"""From a tool's raw arguments to the policy's question. What is not understood is an error.

Paths are joined to the working directory and not shortened: `link/..` is where the link leads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdqctl.adapters.copilot.toolbox import KNOWN_TOOLS, TRUSTED_TOOLS, KnownTool
from sdqctl.model.tools import ToolKind, ToolRequest

_PATCHED = re.compile(r"\s*\*\*\*\s*(?:add|update|delete|move)[^:]*:\s*(.*?)\s*\Z", re.IGNORECASE)
_PATCH_FRAME = re.compile(r"\*\*\*\s*(?:begin patch|end patch|end of file)\s*\Z", re.IGNORECASE)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
"""What the runtime makes `-` of in the name of an MCP server."""
_OWN_FOLDERS = ("files", "research")
_OWN_FILES = ("plan.md",)


class UnclearCallError(ValueError):
    """A call whose arguments are not understood for certain."""


def read_call(
    tool: str, arguments: object, folder: str, servers: Sequence[str], *, trusted: bool
) -> ToolRequest | None:
    """What a call asks for; None: nothing outside of its session. Raises UnclearCallError.

    `folder` is the working directory of who calls; `servers` are the MCP servers by name.
    """
    known = KNOWN_TOOLS.get(tool)
    if known is None:
        if tool not in TRUSTED_TOOLS:
            return _foreign(tool, servers)
        if trusted:
            return None
        raise UnclearCallError("it starts programs of a repository that is not trusted")
    if tool == "apply_patch":
        return _write(_patched(arguments), folder)
    given = _checked(known, arguments)
    match known.kind:
        case ToolKind.SHELL if tool == "bash":
            command = _text(given, "command")
            return ToolRequest(
                kind=ToolKind.SHELL, target=command, intention=str(given.get("description") or "")
            )
        case ToolKind.READ:
            paths = [_text(given, "path")] if tool == "view" else _searched(given)
            first, *more = (os.path.join(folder, path) for path in paths)
            return ToolRequest(kind=ToolKind.READ, target=first, paths=tuple(more))
        case ToolKind.WRITE:
            return _write([_text(given, "path")], folder)
        case ToolKind.URL:
            return ToolRequest(kind=ToolKind.URL, target=_text(given, "url"))
    return None


def is_own_workspace(request: ToolRequest, session_folder: Path) -> bool:
    """Whether only what the runtime tells its model to write in the session's folder is touched.

    The journal and the rest of that folder are not the model's.
    """
    if request.kind not in (ToolKind.READ, ToolKind.WRITE):
        return False
    root = Path(os.path.realpath(session_folder))
    try:
        reals = [Path(os.path.realpath(path)) for path in (request.target, *request.paths)]
    except (OSError, ValueError):
        return False
    return all(_is_own(real, root) for real in reals)


def _is_own(real: Path, root: Path) -> bool:
    if not real.is_relative_to(root):
        return False
    parts = real.relative_to(root).parts
    return parts[:1] in {(name,) for name in _OWN_FOLDERS} or parts in {(n,) for n in _OWN_FILES}


def server_prefix(server: str) -> str:
    """How the names of an MCP server's tools begin."""
    return f"{_NOT_IN_A_NAME.sub('-', server)}-"


def tool_name(name: str) -> str:
    """The runtime's name of a tool that is written `NAME` or `SERVER:TOOL`."""
    server, colon, tool = name.partition(":")
    return f"{server_prefix(server)}{tool}" if colon else name


def _foreign(tool: str, servers: Iterable[str]) -> ToolRequest:
    """A tool that is none of the runtime's own: of an MCP server, or somebody else's."""
    found = [name for name in servers if tool.startswith(server_prefix(name))]
    if len(found) > 1:
        raise UnclearCallError(f"it could be a tool of {' or '.join(sorted(found))}")
    if found:
        return ToolRequest(kind=ToolKind.MCP, target=f"{found[0]}:{tool}")
    return ToolRequest(kind=ToolKind.CUSTOM, target=tool)


def _checked(known: KnownTool, arguments: object) -> Mapping[str, Any]:
    given = {} if arguments is None else arguments
    if not isinstance(given, dict):
        raise UnclearCallError("its arguments are no record")
    for name in given:
        if name not in known.arguments:
            raise UnclearCallError(f"the argument {name} is not known; leave it out")
    return given


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise UnclearCallError(f"the argument {name} is no text")
    return value


def _searched(given: Mapping[str, Any]) -> list[str]:
    """The folders of a search; a text with blanks means itself, or each of its words."""
    values = [given[name] for name in ("paths", "path") if given.get(name) not in (None, "", [])]
    if len(values) > 1:
        raise UnclearCallError("it has both path and paths")
    found = values[0] if values else "."
    if isinstance(found, str):
        return list(dict.fromkeys([found, *found.split()]))
    if isinstance(found, list) and all(isinstance(path, str) and path for path in found):
        return list(found)
    raise UnclearCallError("the argument paths is no list of texts")


def _patched(arguments: object) -> list[str]:
    """The files that a patch names."""
    if not isinstance(arguments, str):
        raise UnclearCallError("its patch is no text")
    found: list[str] = []
    for line in arguments.splitlines():
        if match := _PATCHED.match(line):
            found.append(match.group(1))
        elif line.startswith("***") and not _PATCH_FRAME.match(line):
            raise UnclearCallError(f"a line of its patch is not understood: {line[:80]}")
    if not found or not all(found):
        raise UnclearCallError("its patch names no file")
    return found


def _write(paths: Sequence[str], folder: str) -> ToolRequest:
    first, *more = (os.path.join(folder, path) for path in paths)
    return ToolRequest(kind=ToolKind.WRITE, target=first, paths=tuple(more))

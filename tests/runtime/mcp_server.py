"""A small MCP server for tests: its tools write their names into a file.

Run as a program: `python mcp_server.py FILE`. `look` says that it only reads, `change` does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}


def answer(method: str, parameters: dict[str, Any], called: Path) -> dict[str, Any]:
    """The result of one request."""
    if method == "initialize":
        return {
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "lab", "version": "1"},
        }
    if method == "tools/list":
        look = {"name": "look", "description": "look", "inputSchema": _SCHEMA}
        change = {"name": "change", "description": "change", "inputSchema": _SCHEMA}
        return {"tools": [{**look, "annotations": {"readOnlyHint": True}}, change]}
    if method == "tools/call":
        with called.open("a", encoding="utf-8") as stream:
            stream.write(f"{parameters['name']}\n")
        return {"content": [{"type": "text", "text": "called"}]}
    return {}


def serve(called: Path) -> None:
    """Answer requests from stdin until it ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            result = answer(request["method"], request.get("params", {}), called)
            print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

"""Raw arguments of the runtime's tools, and what the policy is asked about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.adapters.copilot.calls import UnclearCallError, is_own_workspace, read_call
from sdqctl.adapters.copilot.toolbox import KNOWN_TOOLS, available_tools, unknown_tools
from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.policy.policy import build_policy

ADDED = "*** Begin Patch\n*** Add File: new.txt\n+*** Add File: text.txt\n*** End Patch\n"
MOVED = (
    "*** Begin Patch\n*** Update File: a.txt\n*** Move to: ../b.txt\n@@\n-x\n+y\n"
    "*** Delete File: /etc/passwd\n*** End of File\n*** End Patch"
)
CALLS: list[tuple[str, object, str, list[str]]] = [
    ("bash", {"command": "ls", "description": "look"}, "shell", ["ls"]),
    ("view", {"path": "a.txt"}, "read", ["/w/a.txt"]),
    ("view", {"path": "link/../a", "view_range": [1, 2]}, "read", ["/w/link/../a"]),
    ("view", {"path": "~/a"}, "read", ["/w/~/a"]),
    ("view", {"path": "/etc/hosts"}, "read", ["/etc/hosts"]),
    ("grep", {"pattern": "x"}, "read", ["/w/."]),
    ("grep", {"pattern": "x", "paths": None}, "read", ["/w/."]),
    ("grep", {"pattern": "x", "paths": "/etc"}, "read", ["/etc"]),
    ("rg", {"pattern": "x", "path": "/etc"}, "read", ["/etc"]),
    ("grep", {"pattern": "x", "paths": "a /etc"}, "read", ["/w/a /etc", "/w/a", "/etc"]),
    ("glob", {"pattern": "*", "paths": ["a", "link/.."]}, "read", ["/w/a", "/w/link/.."]),
    ("create", {"path": "b", "file_text": ""}, "write", ["/w/b"]),
    ("edit", {"path": "/x/b", "old_str": "a", "new_str": "b"}, "write", ["/x/b"]),
    ("apply_patch", ADDED, "write", ["/w/new.txt"]),
    ("apply_patch", MOVED, "write", ["/w/a.txt", "/w/../b.txt", "/etc/passwd"]),
    ("web_fetch", {"url": "https://a.test/"}, "url", ["https://a.test/"]),
    ("lab-read", {"any": {"thing": 1}}, "mcp", ["lab:lab-read"]),
    ("my-lab-x-read-it", None, "mcp", ["my lab.x:my-lab-x-read-it"]),
    ("nobodys", {}, "custom-tool", ["nobodys"]),
]
UNCLEAR: list[tuple[str, object]] = [
    ("bash", {}),
    ("bash", {"command": ["ls"]}),
    ("bash", {"command": "ls", "commands": "rm x"}),
    ("bash", "ls"),
    ("view", {"path": ["a", "b"]}),
    ("view", {"path": "a", "file_path": "b"}),
    ("grep", {"pattern": "x", "paths": "a", "path": "b"}),
    ("grep", {"pattern": "x", "paths": [1]}),
    ("grep", {"pattern": "x", "--pre": "sh"}),
    ("glob", {"pattern": "*", "paths": {"a": 1}}),
    ("create", {"path": "", "file_text": ""}),
    ("create", {"path": "a", "file_text": "", "path2": "b"}),
    ("apply_patch", {"input": ADDED}),
    ("apply_patch", "*** Begin Patch\n*** End Patch"),
    ("apply_patch", "*** Begin Patch\n*** Rename File: a\n*** End Patch"),
    ("apply_patch", "*** Begin Patch\n*** Add File:\n*** End Patch"),
    ("web_fetch", {"url": None}),
    ("task", {"prompt": "p", "shell": "ls"}),
    ("two-words-tool", {}),
    ("lsp", {"operation": "hover"}),
]
SERVERS = ["lab", "my lab.x", "two", "two-words"]


def read(tool: str, arguments: object, *, trusted: bool = False) -> ToolRequest | None:
    return read_call(tool, arguments, "/w", SERVERS, trusted=trusted)


@pytest.mark.parametrize(("tool", "arguments", "kind", "targets"), CALLS)
def test_a_call_asks_for_all_that_it_touches(
    tool: str, arguments: object, kind: str, targets: list[str]
) -> None:
    request = read(tool, arguments)
    assert request is not None
    assert (request.kind.value, [request.target, *request.paths]) == (kind, targets)


@pytest.mark.parametrize(("tool", "arguments"), UNCLEAR)
def test_what_is_not_understood_for_certain_is_an_error(tool: str, arguments: object) -> None:
    with pytest.raises(UnclearCallError):
        read(tool, arguments)


def test_tools_of_the_session_alone_ask_for_nothing() -> None:
    silent = {name for name in KNOWN_TOOLS if name not in {tool for tool, *_ in CALLS}}
    assert silent == {
        *("read_bash", "stop_bash", "list_bash", "sql", "skill", "task"),
        *("read_agent", "list_agents", "write_agent"),
    }
    assert all(read(name, {}) is None for name in silent)
    assert read("lsp", {}, trusted=True) is None


def test_a_session_that_only_reads_has_no_tool_that_does_more(tmp_path: Path) -> None:
    def names(**options: object) -> set[str]:
        policy = build_policy(cwd=tmp_path, **{"mode": "audit", **options})  # type: ignore[arg-type]
        return {name.removeprefix("builtin:") for name in available_tools(policy, trusted=False)}

    reading = names()
    assert {"view", "grep", "glob", "sql", "task"} <= reading
    beyond = {"bash", "create", "edit", "apply_patch", "web_fetch", "mcp:*", "custom:*", "lsp"}
    assert not reading & beyond
    assert names(allow_tools=["shell(git:*)"]) - reading == {
        *("bash", "read_bash", "stop_bash", "list_bash"),
    }
    assert names(allow_tools=["mcp(lab)"]) - reading == {"mcp:*"}
    assert {"bash", "create", "edit", "apply_patch"} <= names(mode="implement")
    assert "bash" not in names(mode="implement", deny_tools=["shell"])
    assert names(allow_all=True) >= beyond - {"lsp"}


def test_a_tool_that_is_not_known_is_named() -> None:
    assert unknown_tools(["view", "lsp", "teleport", "bash"]) == ["teleport"]


def test_the_models_own_workspace_is_a_part_of_the_sessions_folder(tmp_path: Path) -> None:
    folder = tmp_path / "session-state/one"
    (folder / "files").mkdir(parents=True)
    (folder / "files/link").symlink_to(tmp_path)

    def own(*paths: str, kind: ToolKind = ToolKind.WRITE) -> bool:
        first, *more = (str(folder / path) for path in paths)
        return is_own_workspace(ToolRequest(kind=kind, target=first, paths=tuple(more)), folder)

    assert own("files/a.md")
    assert own("files/deep/a.md", "plan.md")
    assert own("research/a.md", kind=ToolKind.READ)
    for path in ("events.jsonl", "workspace.yaml", "", "files/../events.jsonl", "files/link/x"):
        assert not own(path), path
    assert not own("files/a.md", "events.jsonl")
    assert not own("plan.md/x")
    assert not own("files/a", kind=ToolKind.SHELL)

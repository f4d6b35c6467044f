"""`status --adapters` says which tools agents are given, and which of a newer runtime are out."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from tests.command import sdqctl

NEWER = """\
    #!{python}
    import json, sys
    if "--version" in sys.argv:
        print("GitHub Copilot CLI 9.9.9.")
        sys.exit()
    names = ["view", "bash", "teleport", "lsp"]
    while line := sys.stdin.buffer.readline():
        length = int(line.split(b":")[1])
        sys.stdin.buffer.readline()
        request = json.loads(sys.stdin.buffer.read(length))
        tools = [{{"name": name}} for name in names]
        body = json.dumps({{"id": request["id"], "result": {{"tools": tools}}}}).encode()
        sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
        sys.stdout.buffer.flush()
"""


@pytest.mark.runtime
def test_all_tools_of_the_pinned_runtime_are_known(home: Path, project: Path) -> None:
    found = sdqctl("status", "--adapters", "--format", "json", COPILOT_OFFLINE="")
    assert found.code == 0, found.err
    tools = found.json["tools"]["copilot"]
    assert tools["unknown"] == []
    assert {"view", "bash", "create", "task"} <= set(tools["known"])


def test_a_tool_of_a_newer_runtime_is_named_as_one_that_agents_are_not_given(
    home: Path, project: Path
) -> None:
    runtime = home / "copilot-runtime"
    runtime.write_text(textwrap.dedent(NEWER).format(python=sys.executable))
    runtime.chmod(0o755)
    told = sdqctl("status", "--adapters", COPILOT_CLI_PATH=str(runtime))
    assert told.code == 0, told.err
    assert "  not given to agents, because not known here: teleport\n" in told.out


def test_a_runtime_that_does_not_report_its_tools_does_no_harm(home: Path, project: Path) -> None:
    runtime = home / "copilot-runtime"
    runtime.write_text("#!/bin/sh\necho 'GitHub Copilot CLI 1.2.3.'\n")
    runtime.chmod(0o755)
    told = sdqctl("status", "--adapters", COPILOT_CLI_PATH=str(runtime), COPILOT_OFFLINE="")
    assert told.code == 0, told.err
    assert "copilot: ok 1.2.3" in told.out
    assert "not given to agents" not in told.out

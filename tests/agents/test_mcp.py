"""An agent that is no adapter here but a client: it starts a workflow over MCP, and reads how it
ended.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.agents.installed import WANTED, environment
from tests.command import SDQCTL, sdqctl


@pytest.mark.skipif("opencode" not in WANTED, reason="OpenCode is not tried")
def test_an_agent_starts_a_workflow_over_mcp_and_reads_its_outcome(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "inner.conv").write_text("ADAPTER mock\nPROMPT a [[reply: from inside]]\n")
    variables = dict(environment("opencode", model, home / "agent"))
    serve = [*SDQCTL, "mcp", "--workflow", "inner.conv"]
    settings = json.loads(variables["OPENCODE_CONFIG_CONTENT"])
    settings["mcp"] = {"sdqctl": {"type": "local", "command": serve, "enabled": True}}
    variables["OPENCODE_CONFIG_CONTENT"] = json.dumps(settings)
    start = json.dumps({"workflow": "inner.conv", "session": "inner"})
    wait = json.dumps({"session": "inner", "seconds": 120})
    prompt = (
        f"start it [[tool: sdqctl_start_workflow {start}]] "
        f"[[tool: sdqctl_wait_for_run {wait}]] [[reply: it is done]]"
    )
    done = subprocess.run(
        ["opencode", "run"],
        input=prompt,
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
        env={**os.environ, **variables, "PWD": str(project)},
    )
    assert done.returncode == 0, done.stderr
    assert "it is done" in done.stdout
    assert "from inside" in json.dumps([request.messages for request in model.requests])
    inner = sdqctl("sessions", "show", "inner", "--format", "json").json
    assert [turn["response"] for turn in inner["turns"]] == ["from inside"]

"""What a prompt runs with, as the model of the real runtime sees it, also after a resume."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdqctl.testing.loopback import LoopbackModel, Request
from tests.command import sdqctl
from tests.sampling import some

pytestmark = pytest.mark.runtime

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SERVER = Path(__file__).with_name("mcp_server.py")


@pytest.fixture
def files(project: Path, home: Path) -> Path:
    """A workflow's folder, which is not the working directory, with all that it names."""
    folder = project / "flow"
    (folder / "agents").mkdir(parents=True)
    agent = "---\nname: critic\ndescription: criticises\n---\nMARK-AGENT\n"
    (folder / "agents" / "critic.md").write_text(agent)
    (folder / "skills" / "tidy").mkdir(parents=True)
    skill = "---\nname: tidy\ndescription: MARK-SKILL\n---\nTidy.\n"
    (folder / "skills" / "tidy" / "SKILL.md").write_text(skill)
    (folder / "system.txt").write_text("MARK-SYSTEM\n")
    (folder / "dot.png").write_bytes(PNG)
    (folder / "notes.txt").write_text("one\ntwo\n")
    (project / "work").mkdir()
    shutil.copy(SERVER, project / "work" / "server.py")  # the sandbox opens no other folder to it
    return folder


def tools(request: Request) -> set[str]:
    """The tools that the model was offered."""
    return {tool["function"]["name"] for tool in request.body.get("tools", [])}


def marks(request: Request) -> set[str]:
    """Which of the marks stand in the system message."""
    text = json.dumps([m for m in request.messages if m["role"] == "system"])
    return {mark for mark in ("SYSTEM", "AGENT", "SKILL") if f"MARK-{mark}" in text}


def last_parts(request: Request) -> list[dict[str, Any]]:
    """The parts of the last user message."""
    content = request.messages[-1]["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


WORKFLOW = """MODEL m-1
MODE audit
CWD ../work
SESSION-NAME s
SYSTEM @system.txt
AGENTS-DIR agents
SKILLS skills
MCP lab python3 server.py called
EXCLUDE-TOOLS glob

PROMPT plain [[reply: 1]]
SWITCH-MODEL m-2
REASONING-EFFORT high
AGENT critic
TOOLS view, lab:look
ATTACH @dot.png @notes.txt
PROMPT with all [[reply: 2]]
PAUSE
PROMPT after a resume [[reply: 3]]
SWITCH-MODEL default
REASONING-EFFORT default
AGENT default
TOOLS default
PROMPT plain again [[reply: 4]]
"""


def test_each_prompt_runs_with_what_stands_above_it(files: Path, model: LoopbackModel) -> None:
    path = files / "work.conv"
    path.write_text(WORKFLOW)
    allowed = ("--allow-tool", "mcp(lab:*)")
    done = sdqctl("run", path, *allowed)
    assert done.code == 8, done.err
    done = sdqctl("resume", "s", "--continue", *allowed)
    assert done.code == 0, done.err
    plain, full, resumed, again = model.requests
    for request in (plain, again):
        assert (request.body["model"], request.body.get("reasoning_effort")) == ("m-1", None)
        assert marks(request) == {"SYSTEM", "SKILL"}
        assert {"view", "grep", "lab-look", "lab-change"} <= tools(request)
        assert "glob" not in tools(request)
    for request in (full, resumed):
        assert (request.body["model"], request.body["reasoning_effort"]) == ("m-2", "high")
        assert tools(request) == {"view", "lab-look"}
        assert marks(request) == {"SYSTEM", "AGENT"}, "skills need the tool `skill`"
    parts = last_parts(full)
    assert [part["type"] for part in parts] == ["text", "text", "image_url"]
    assert str(files / "notes.txt") in parts[0]["text"]
    assert [part["type"] for part in last_parts(resumed)] == ["text"]


@pytest.mark.thorough
def test_a_kill_leaves_no_effort_behind(files: Path, model: LoopbackModel) -> None:
    """The runtime keeps an effort over a resume; a cycle that begins anew is without it."""
    path = files / "work.conv"
    path.write_text(
        "SESSION-NAME s\nMAX-CYCLES 2\nPROMPT a [[reply: 1]]\nREASONING-EFFORT high\n"
        "PROMPT b [[reply: 2]]\nPAUSE\n"
    )
    assert sdqctl("run", path).code == 8
    assert sdqctl("resume", "s", "--continue").code == 8
    efforts = [request.body.get("reasoning_effort") for request in model.requests]
    assert efforts == [None, "high", None, "high"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("line", "code", "words"),
    some(
        1,
        [
            ("AGENT crtic", 4, "AGENT crtic: there is no such agent; did you mean critic?"),
            ("TOOLS veiw", 4, "TOOLS: there is no tool veiw; did you mean view?"),
            ("TOOLS lba:look", 4, "TOOLS: there is no MCP server lba"),
            ("MCP bad /nonexistent/server", 5, "the MCP server bad did not start: /nonexistent/"),
        ],
    ),
)
def test_what_is_not_there_is_said_before_the_prompt_is_sent(
    line: str, code: int, words: str, files: Path, model: LoopbackModel
) -> None:
    path = files / "work.conv"
    path.write_text(f"AGENTS-DIR agents\n{line}\nPROMPT a [[reply: 1]]\n")
    done = sdqctl("run", path, "--session-name", "s", "--allow-tool", "mcp(bad:*)")
    assert done.code == code, done.err
    assert words in done.err
    assert model.requests == []


@pytest.mark.thorough
def test_a_tool_that_nothing_allows_stays_out_with_a_warning(
    files: Path, model: LoopbackModel
) -> None:
    path = files / "work.conv"
    path.write_text("MODE audit\nTOOLS view, bash\nPROMPT a [[reply: 1]]\n")
    done = sdqctl("run", path, "--session-name", "s")
    assert done.code == 0
    assert tools(model.requests[0]) == {"view"}
    assert "TOOLS: bash is not there: nothing allows what it does" in done.err

"""A step of the real runtime that is killed between its two tools, and what is asked for then."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sdqctl.model.followup import quoted_prompt
from sdqctl.testing.loopback import LoopbackModel
from tests.command import Running, sdqctl
from tests.conftest import RUNTIME
from tests.sampling import some
from tests.waiting import has_line, wait_for

pytestmark = pytest.mark.runtime

STEP = (
    'second [[sleep: 0.4]] [[tool: bash {"command": "echo 1 >> acts", "description": "one"}]] '
    '[[tool: bash {"command": "echo 2 >> acts", "description": "two"}]] [[reply: both are done]]'
)
WORKFLOW = (
    f"SESSION-NAME s\nMODE implement\nPROMPT first [[reply: 1]]\nPROMPT {STEP}\nPROMPT third\n"
)


@pytest.fixture
def cut_off(home: Path, project: Path, model: LoopbackModel) -> Path:
    """A run that was killed, with its runtime, after the first of its second prompt's tools."""
    path = project / "work.conv"
    path.write_text(WORKFLOW)
    acts = project / "acts"
    with Running("run", str(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: has_line(acts) and len(model.requests) == 3)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    return acts


def ask(client: str) -> None:
    """Something else, asked in the session by one of the two clients."""
    prompt = "what about the tests? [[reply: they pass]]"
    if client == "ours":
        assert sdqctl("resume", "s", "--prompt", prompt).code == 0
        return
    command = [str(RUNTIME), "-p", prompt, "--resume=s"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("client", some(1, ["native", "ours", None]))
def test_the_second_tool_runs_whatever_was_asked_in_between(
    client: str | None, cut_off: Path, model: LoopbackModel
) -> None:
    if client is not None:
        ask(client)
    done = sdqctl("resume", "s", "--continue")
    assert done.code == 0, done.err
    assert cut_off.read_text() == "1\n2\n"
    assert done.out.startswith("both are done\n\n")
    asked = model.user_messages()
    follow = [text for text in asked if quoted_prompt(text) is not None]
    assert [quoted_prompt(text) for text in follow] == [STEP]
    between = ["what"] if client is not None else []
    assert [text.split()[0] for text in asked] == ["first", "second", *between, "The", "third"]


@pytest.mark.thorough
def test_a_resend_takes_nothing_out_that_was_asked_in_between(
    cut_off: Path, model: LoopbackModel
) -> None:
    ask("native")
    refused = sdqctl("resume", "s", "--continue", "--on-interrupted", "resend")
    assert refused.code == 4, refused.err
    assert "turn 3: what about the tests?" in refused.err
    assert cut_off.read_text() == "1\n"
    assert sdqctl("sessions", "fork", "s", "copy", "--at", "turn:1").code == 0
    copied = sdqctl("resume", "copy", "--continue")
    assert copied.code == 0, copied.err
    assert [text.split()[0] for text in model.user_messages()] == ["first", "second", "third"]
    assert cut_off.read_text() == "1\n1\n2\n"
    assert sdqctl("resume", "s", "--prompt", "still there? [[reply: yes]]").code == 0
    asked = [text.split()[0] for text in model.user_messages()]
    assert asked == ["first", "second", "what", "still"]

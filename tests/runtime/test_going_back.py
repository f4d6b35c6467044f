"""Going back in a session of the real runtime in which more was asked than one run's steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.workspace.gits import repository

pytestmark = pytest.mark.runtime

WORKFLOW = """\
SESSION-NAME s
MODE implement
PROMPT one [[reply: 1]]
PAUSE look
CALL inner.conv IN same
PROMPT three [[tool: create {"path": "f3", "file_text": "x"}]] [[reply: 3]]
"""


def asked(name: str) -> list[str]:
    shown = sdqctl("sessions", "show", name, "--format", "json").json
    return [turn["prompt"].split()[0] for turn in shown["turns"]]


@pytest.mark.thorough
def test_talk_files_and_steps_go_back_together(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    inner = 'PROMPT inner [[tool: create {"path": "fi", "file_text": "x"}]] [[reply: I]]\n'
    repository(project, {"work.conv": WORKFLOW, "inner.conv": inner})
    assert sdqctl("run", "work.conv").code == 8
    assert sdqctl("resume", "s", "--prompt", "aside [[reply: A]]").code == 0
    assert sdqctl("resume", "s", "--continue").code == 0
    assert asked("s") == ["one", "aside", "inner", "three"]

    assert sdqctl("sessions", "fork", "s", "copy", "--at", "3").code == 0
    assert asked("copy") == ["one", "aside", "inner"]
    assert sdqctl("sessions", "rewind", "s", "--to", "3").code == 0
    assert asked("s") == ["one", "aside", "inner"]
    assert ((project / "fi").exists(), (project / "f3").exists()) == (True, False)
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert asked("s") == ["one"]
    assert not (project / "fi").exists()
    done = sdqctl("resume", "s", "--continue")
    assert done.code == 0, done.err
    assert asked("s") == ["one", "inner", "three"]
    assert (project / "f3").exists()

"""Jobs of CI whose session is in a shared store instead of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.machines import Fleet, Machine
from tests.workspace.gits import git

STORY = """\
SESSION-NAME s
MODE implement
ALLOW-SHELL true
PROMPT a [[reply: A]]
RUN echo two >> a.txt
PAUSE Look at it.
ASK ok "Shall it go on?" choice(yes|no)
RUN exit 1
PROMPT b [[reply: B]]
"""


def job(machine: Machine, *flags: str | Path, code: int = 0) -> str:
    """An attempt on a machine; what it says."""
    flags = ("--store", *flags)
    return machine.run("run", "work.conv", "--ci", *flags, code=code).err


@pytest.mark.thorough
def test_each_attempt_goes_on_on_another_machine_without_a_file(fleet: Fleet) -> None:
    (fleet.origin / "work.conv").write_text(STORY)
    git(fleet.origin, "add", "-A")
    git(fleet.origin, "commit", "-qm", "work")
    assert "waits for a human: Look at it." in job(fleet.machine("a"), code=8)
    assert "2 done" in job(fleet.machine("b"), code=8)
    assert "the same command goes on" in job(fleet.machine("c"), "--answer", "yes", code=4)
    last = fleet.machine("d")
    (last.clone / "work.conv").write_text(STORY.replace("exit 1", "true"))
    job(last)
    assert last.answers() == ["A", "B"]
    assert (last.tree() / "a.txt").read_text() == "one\ntwo\n"

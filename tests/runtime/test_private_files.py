"""What is written below SDQCTL_HOME, and what holds a conversation elsewhere, is its owner's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Done, sdqctl
from tests.sampling import some

pytestmark = pytest.mark.runtime

WORKFLOW = """\
SESSION-NAME audit
EVENT-LOG logs/events.jsonl
RUN true
RUN-ASYNC true
PROMPT hello [[reply: done]]
"""


@pytest.fixture
def open_umask(project: Path) -> Iterator[None]:
    """A user whose new files are everyone's unless a program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def do(*arguments: str | Path) -> Done:
    """A command that works."""
    done = sdqctl(*arguments)
    assert done.code == 0, done.err
    return done


def modes(folder: Path) -> dict[str, str]:
    """The files and folders that are not for their owner alone, with their modes."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        own = (0o700,) if path.is_dir() else (0o600, 0o400)  # what git never changes is read alone
        if mode not in own:
            found[str(path)] = oct(mode)
    return found


@pytest.mark.parametrize("adapter", some(1, ["mock", "copilot"]))
def test_all_that_is_kept_is_for_its_owner_alone(
    adapter: str, home: Path, project: Path, model: LoopbackModel, open_umask: None
) -> None:
    (project / "w.conv").write_text(WORKFLOW)
    do("run", "w.conv", "-a", adapter)
    do("sessions", "list")
    do("sessions", "search", "hello")
    do("sessions", "usage")
    do("sessions", "fork", "audit", "copy")
    do("sessions", "export", "audit", "-o", "audit.bundle", "--format", "bundle")
    do("sessions", "delete", "audit", "--force")
    do("sessions", "restore", "audit")
    do("sessions", "delete", "audit", "copy", "--force")
    do("sessions", "import", "audit.bundle")
    do("store", "backup", home / "sdqctl" / "backup.db")
    assert modes(home / "sdqctl") == {}
    kept = {path.name for path in (home / "sdqctl").iterdir()}
    assert {"commands", "locks", "trash", "ledger.db", "search.db"} <= kept
    for written in (project / "audit.bundle", project / "logs" / "events.jsonl"):
        assert stat.S_IMODE(written.stat().st_mode) == 0o600, written


def test_a_command_of_a_workflow_keeps_the_users_umask(home: Path, project: Path) -> None:
    (project / "w.conv").write_text("ALLOW-SHELL true\nRUN umask > seen.txt\nPROMPT a\n")
    before = os.umask(0o027)
    try:
        do("run", "w.conv", "-a", "mock")
    finally:
        os.umask(before)
    assert (project / "seen.txt").read_text() == "0027\n"

"""Two processes that choose the same name at once: one of them has it, the other is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import Running, sdqctl
from tests.sessions.test_carrying import ok
from tests.waiting import wait_for

HELD = """\
import sys, time
from pathlib import Path
from sdqctl.adapters.mock import archive
from sdqctl.adapters.mock.adapter import MockAdapter
from sdqctl.cli.app import run

folder = Path(sys.argv[1])

def held(write):
    def writes(*given):
        (folder / "checked").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        return write(*given)
    return writes

MockAdapter._write = held(MockAdapter._write)
archive.install = held(archive.install)
sys.exit(run(sys.argv[2:]))
"""
"""sdqctl, which is held before it writes a session of the mock: by then it has checked the name."""
NAME, OTHER = "Our name", "our name"
WAYS = {
    "rename": ("sessions", "rename", "{}"),
    "fork": ("sessions", "fork", "{}"),
    "import": ("sessions", "import", "{}.sdqctl", "--name"),
}


def command(way: str, session: str, name: str) -> list[str]:
    return [*(word.format(session) for word in WAYS[way]), name]


def waits_for_names(pid: int) -> bool:
    """Whether a process has the lock of names open."""
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was just closed
            if "/locks/names.lock" in os.readlink(file):
                return True
    return False


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_one_of_two_processes_has_a_name(
    bench: Bench, tmp_path: Path, first: str, second: str
) -> None:
    for session in ("a", "b"):
        bench.write(f"{session}.conv", f"PROMPT {session}\n")
        ok(sdqctl("run", f"{session}.conv", "--session-name", session))
        ok(sdqctl("sessions", "export", session, "-o", f"{session}.sdqctl"))
    before = sdqctl("sessions", "list", "--format", "json").json
    one = subprocess.Popen(
        [sys.executable, "-c", HELD, tmp_path, *command(first, "a", NAME)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: (tmp_path / "checked").exists() or one.poll() is not None, "the check")
    two = Running(*command(second, "b", OTHER), stderr=subprocess.PIPE)
    with suppress(OSError):  # it has ended
        wait_for(lambda: two.poll() is not None or waits_for_names(two.pid), "the second check")
    (tmp_path / "go").touch()
    said = [process.communicate()[1] for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 7], said
    assert f"a session named {NAME!r} exists already" in said[1]
    names = [entry["name"] for entry in sdqctl("sessions", "list", "--format", "json").json]
    assert [name.casefold() for name in names].count(OTHER) == 1
    assert len(names) == len(before) + (first != "rename")

"""The embedded server leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sdqctl.process import is_alive
from tests.waiting import wait_for

_USER = """
import pathlib, sys, time
from tests.fleet.postgres import served
folder = pathlib.Path(sys.argv[1])
with served(folder):
    print((folder / "postmaster.pid").read_text().split()[0], flush=True)
    time.sleep(600)
"""


@pytest.mark.thorough
def test_a_server_ends_when_all_who_use_it_are_killed(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-c", _USER, str(tmp_path / "postgres")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as user:
        assert user.stdout is not None
        pid = int(user.stdout.readline())
        user.kill()
    wait_for(lambda: not is_alive(pid))

"""Whether a process lives, and is the same, also where there is no /proc."""

from __future__ import annotations

import os
import subprocess

import pytest

from sdqctl import process


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_process_that_ended_is_not_alive_though_nobody_waited_for_it(
    has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_proc:
        monkeypatch.setattr(process, "_stat_fields", lambda pid: [])
        monkeypatch.setattr(process, "_has_proc", lambda: False)
    child = subprocess.Popen(["sleep", "60"])
    try:
        mark = process.start_mark(child.pid)
        assert mark is not None
        assert process.is_same(child.pid, mark)
        assert not process.is_same(child.pid, f"{mark}0")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_alive(child.pid)
    finally:
        child.kill()
        child.wait()

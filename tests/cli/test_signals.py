"""A signal ends every command cleanly, also one that only asks the runtime."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from sdqctl.process import is_alive
from tests.cli.test_waiting import wait_for
from tests.command import Running
from tests.sampling import some

SILENT = "#!/bin/sh\necho $$ > {pid}\nexec cat > /dev/null\n"
"""A runtime that takes what it is told, and never answers."""


@pytest.mark.parametrize("number", some(1, [signal.SIGINT, signal.SIGTERM]))
@pytest.mark.parametrize("arguments", [["status", "--models"]])
def test_a_signal_ends_a_question_to_the_runtime_and_the_runtime_with_it(
    arguments: list[str],
    number: signal.Signals,
    home: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid, program = home / "pid", home / "silent"
    program.write_text(SILENT.format(pid=pid))
    program.chmod(0o700)
    monkeypatch.setenv("COPILOT_CLI_PATH", str(program))
    asking = Running(*arguments, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
        asking.send_signal(number)
        _, err = asking.communicate(timeout=120)
        assert asking.returncode == 130, err
        assert "interrupted" in err
        assert "Traceback" not in err
        assert not is_alive(int(pid.read_text()))
    finally:
        asking.kill()
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid.read_text()), signal.SIGKILL)

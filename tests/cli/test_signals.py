"""The work of a command: a signal ends it cleanly, also where it only asks the runtime."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sdqctl.cli.signals import interruptible
from sdqctl.process import is_alive
from tests.command import Running
from tests.sampling import some
from tests.waiting import has_line, wait_for

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
    pid, program = home / "copilot" / "pid", home / "silent"  # where its net lets it write
    pid.parent.mkdir()
    program.write_text(SILENT.format(pid=pid))
    program.chmod(0o700)
    monkeypatch.setenv("COPILOT_CLI_PATH", str(program))
    asking = Running(*arguments, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: has_line(pid))
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


class Knot:
    """Garbage that only the collector takes."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def as_at_start() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(100_000)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("as_at_start")
def test_garbage_of_long_work_is_collected_while_it_goes_on() -> None:
    async def work() -> int:
        first = weakref.ref(Knot())
        knots = 0
        while first() is not None and knots < 20_000:
            Knot()
            knots += 1
        return knots

    assert interruptible(work()) < 20_000

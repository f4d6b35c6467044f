"""`sessions list --watch`: a line for each session that another process changes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from subprocess import PIPE

from tests.bench import Bench
from tests.command import Running, sdqctl
from tests.terminal import CTRL_C, Terminal

JOB = "SESSION-NAME job\nPROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n"


def test_what_others_change_is_a_line_each_until_it_is_interrupted(
    bench: Bench, tmp_path: Path
) -> None:
    bench.run("SESSION-NAME old\nPROMPT a [[reply: A]]\n")
    file = tmp_path / "lines"
    with file.open("w") as out:
        watching = Running(
            "sessions", "list", "--watch", "--format", "tsv", stdout=out, stderr=PIPE
        )

    def wait_for(name: str, status: str) -> None:
        """Until the last line says so."""
        deadline = time.monotonic() + 60
        while file.read_text().rpartition("\n")[0].split("\n")[-1].split("\t")[::2][:2] != [
            name,
            status,
        ]:
            assert time.monotonic() < deadline, file.read_text()
            time.sleep(0.05)

    wait_for("old", "completed")
    bench.run(JOB)
    wait_for("job", "completed")
    assert sdqctl("sessions", "delete", "job", "--force").code == 0
    wait_for("job", "gone")
    assert sdqctl("sessions", "restore", "job").code == 0
    wait_for("job", "completed")
    os.kill(watching.pid, signal.SIGINT)
    _, err = watching.communicate(timeout=120)
    assert watching.returncode == 130, err


def test_on_a_terminal_they_are_words(bench: Bench) -> None:
    bench.run("SESSION-NAME old\nPROMPT a [[reply: A]]\n")
    with Terminal(["sessions", "list", "--watch", "--filter", "j*"]) as terminal:
        terminal.wait_for("0 of 1 sessions shown")
        bench.run(JOB)
        bench.run("SESSION-NAME other\nPROMPT a [[reply: A]]\n")
        terminal.wait_for("job: completed, 2 of 2 steps done")
        terminal.type(CTRL_C)
        assert terminal.wait_for_end() == 130
        assert "other" not in terminal.text


def test_it_writes_no_json(bench: Bench) -> None:
    done = sdqctl("sessions", "list", "--watch", "--format", "json")
    assert done.code == 2
    assert "--format tsv" in done.err

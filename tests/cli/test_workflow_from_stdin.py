"""Workflows that are read only once: from stdin, a pipe, a device."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import SDQCTL, TIMEOUT, Done, sdqctl
from tests.terminal import ENTER, Terminal

TEXT = """\
INCLUDE part.conv
CONTEXT @notes.txt
PROMPT second
PAUSE "read"
PROMPT third {{CWD}}
"""


@pytest.fixture
def written(bench: Bench) -> Bench:
    bench.write("part.conv", "PROMPT first\n")
    bench.write("notes.txt", "the notes")
    return bench


def kept(bench: Bench) -> list[Path]:
    return [p for p in (bench.home / "sdqctl" / "workflows").rglob("*") if p.is_file()]


def paused(name: str = "s", *flags: str) -> Done:
    done = sdqctl("run", "-", "--session-name", name, *flags, stdin=TEXT)
    assert done.code == 8, done.err
    return done


def test_a_workflow_from_stdin_is_resumed_from_anywhere(written: Bench) -> None:
    assert paused().err.startswith("stdin.conv: 4 steps\n")
    [file] = kept(written)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    elsewhere = written.project / "elsewhere"
    elsewhere.mkdir()
    done = sdqctl("resume", "s", "--continue", cwd=elsewhere)
    assert done.code == 0, done.err
    assert "2 done, 2 to run" in done.err
    prompts = [
        t["prompt"] for t in sdqctl("sessions", "show", "s", "--format", "json").json["turns"]
    ]
    assert "the notes" in prompts[0], "files are looked up where the command was given"
    assert prompts[0].endswith("first")
    assert prompts[1:] == ["second", f"third {written.project}"]


def test_the_text_goes_with_the_last_session_that_needs_it(written: Bench) -> None:
    paused()
    assert sdqctl("sessions", "fork", "s", "twin").code == 0
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    assert len(kept(written)) == 1
    assert sdqctl("resume", "twin", "--continue").code == 0
    assert sdqctl("sessions", "delete", "twin", "--force").code == 0
    assert kept(written) == []
    assert sdqctl("sessions", "restore", "s").code == 0
    assert sdqctl("resume", "s", "--continue").code == 0


def test_the_same_text_again_is_the_same_workflow(written: Bench) -> None:
    paused()
    again = sdqctl("run", "-", "--session-name", "s", "--resume-if-exists", stdin=TEXT)
    assert again.code == 0, again.err
    assert "2 done, 2 to run" in again.err


def test_nothing_is_kept_of_what_was_not_begun(written: Bench) -> None:
    written.run("SESSION-NAME taken\nPROMPT hello\n")
    assert sdqctl("run", "-", "--session-name", "taken", stdin=TEXT).code == 7
    assert sdqctl("run", "-", "--session-name", "s", "--dry-run", stdin=TEXT).code == 0
    assert sdqctl("run", "-", stdin="PROMT x\n").code == 3
    assert kept(written) == []


def test_validate_and_render_read_stdin(written: Bench) -> None:
    found = sdqctl("validate", "-", "--format", "json", stdin="PROMPT x\nCONTEXT @none\n")
    assert found.code == 3
    assert [(e["file"], e["line"]) for e in found.json] == [("<stdin>", 2)]
    assert sdqctl("validate", "-", stdin=TEXT).code == 0
    shown = sdqctl("render", "-", stdin=TEXT)
    assert shown.code == 0
    assert "the notes" in shown.out
    assert "\nsecond\n" in shown.out


@pytest.mark.parametrize("place", ["/dev/stdin", "/proc/self/fd/0"])
def test_a_device_is_read_once_also_where_a_file_is_behind_it(place: str, written: Bench) -> None:
    with written.write("real.conv", TEXT).open() as stream:
        begun = subprocess.run(
            [*SDQCTL, "run", place, "--session-name", "s"],
            stdin=stream,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert begun.returncode == 8, begun.stderr
    assert len(kept(written)) == 1
    done = sdqctl("resume", "s", "--continue", stdin="PROMPT another workflow\n")
    assert done.code == 0, done.err
    assert "2 done, 2 to run" in done.err


def test_a_terminal_is_no_workflow_and_hangs_nothing(bench: Bench) -> None:
    for place in ("-", "/dev/stdin", "/dev/tty"):
        for command in (["run", place], ["validate", place], ["render", place]):
            with Terminal(command) as terminal:
                terminal.wait_for("is a terminal, not a workflow file")
                terminal.wait_for_end()


def test_a_session_whose_workflow_was_a_terminal_is_deleted_at_once(bench: Bench) -> None:
    assert bench.run("PROMPT hello\n").done.code == 0
    ledger = bench.home / "sdqctl" / "ledger.db"
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("UPDATE runs SET workflow_path = '/dev/stdin'")
    with Terminal(["sessions", "delete", "s"]) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type(f"y{ENTER}")
        terminal.wait_for("1 session deleted")
        assert terminal.wait_for_end() == 0


@pytest.mark.parametrize(
    "arguments",
    [["apply", "-", "--components", "*"], ["run", "-", "a.conv"], ["run", "a.conv", "-"]],
)
def test_several_runs_need_files(arguments: list[str], bench: Bench) -> None:
    bench.write("a.conv", "PROMPT x\n")
    done = sdqctl(*arguments, stdin="PROMPT y\n")
    assert done.code == 2
    assert "write the workflow to a file" in done.err


def test_a_workflow_in_shared_memory_is_a_file_as_any_other(bench: Bench, in_memory: Path) -> None:
    (in_memory / "part.conv").write_text("PROMPT inside [[reply: A]]\n")
    path = in_memory / "whole.conv"
    path.write_text("SESSION-NAME s\nCALL part.conv\nPAUSE\nPROMPT last [[reply: B]]\n")
    first = sdqctl("run", path)
    assert first.code == 8, first.err
    assert first.err.startswith("whole.conv: 3 steps\n")
    path.write_text(path.read_text().replace("reply: B", "reply: C"))
    done = sdqctl("resume", "s", "--continue")
    assert (done.code, done.out) == (0, "C\n"), done.err
    assert kept(bench) == []

"""Streams that are closed, full, or of another encoding; and text that would drive a terminal."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from sdqctl.cli import output
from tests.bench import Bench
from tests.command import SDQCTL, TIMEOUT, Done, sdqctl
from tests.sampling import some

THREE = "PROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\nPROMPT c [[reply: C ü]]\n"
EVIL = "red\x1b[31m title\x1b]0;owned\x07 back\x08 c1\x9b2J bidi\u202e tab\there"


def shell(command: str, **environment: str) -> Done:
    """A shell line in which `$S` is sdqctl."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        timeout=TIMEOUT,
        env={**os.environ, "S": f"{SDQCTL[0]} -m sdqctl", **environment},
        check=False,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode())


def status() -> tuple[str, int]:
    found = sdqctl("sessions", "show", "s", "--format", "json").json
    return found["status"], len(found["turns"])


@pytest.fixture
def work(bench: Bench) -> Bench:
    bench.write("work.conv", THREE)
    return bench


@pytest.mark.each(2)
@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "| head -c 1", "| true"]
)
@pytest.mark.parametrize("flags", some(1, ["", "--format jsonl", "--format json", "-v"]))
def test_a_closed_stream_does_not_touch_a_run(redirection: str, flags: str, work: Bench) -> None:
    done = shell(f"$S run work.conv --session-name s {flags} {redirection}")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "error:" not in done.err
    assert status() == ("completed", 3)


@pytest.mark.each(2)
@pytest.mark.parametrize("redirection", [">&-", "2>&-", "| true"])
@pytest.mark.parametrize(
    "command",
    some(
        2, ["sessions list", "--help", "sessions list --format json", "status", "help directives"]
    ),
)
def test_nor_any_other_command(redirection: str, command: str, work: Bench) -> None:
    done = shell(f"$S {command} {redirection}")
    assert done.code == 0
    assert done.err == ""


def test_the_exit_code_of_a_run_into_a_closed_stream_is_the_runs(work: Bench) -> None:
    work.write("work.conv", THREE + "PAUSE\n")
    assert shell("$S run work.conv --session-name s >&-").code == 8
    assert shell("$S sessions show nosuch 2>&-").code == 7
    assert shell("$S sessions show nosuch >&-").code == 7


def test_a_closed_descriptor_does_not_become_the_ledgers(work: Bench) -> None:
    assert shell("$S run work.conv --session-name s >&- 2>&- <&-").code == 0
    assert sdqctl("store", "check").code == 0


@pytest.mark.each(3)
@pytest.mark.parametrize("flags", ["", "--format jsonl", "--format json"])
def test_a_full_disk_is_an_error_and_the_run_is_kept(flags: str, work: Bench) -> None:
    done = shell(f"$S run work.conv --session-name s {flags} > /dev/full")
    assert done.code == 9
    assert "stdout cannot be written: No space left on device" in done.err
    assert "bug" not in done.err
    assert status() == ("completed", 3)


@pytest.mark.each(3)
@pytest.mark.parametrize("command", ["sessions list", "--help", "status --format json"])
def test_a_full_disk_is_an_error_of_every_command(command: str, work: Bench) -> None:
    work.run("PROMPT x\n")
    done = shell(f"$S {command} > /dev/full")
    assert done.code == 9
    assert "No space left on device" in done.err
    assert "bug" not in done.err


def test_a_full_stderr_is_no_error(work: Bench) -> None:
    assert shell("$S run work.conv --session-name s 2> /dev/full").code == 0


def test_another_encoding_gets_what_it_can_hold(work: Bench) -> None:
    done = shell("$S run work.conv --session-name s", PYTHONIOENCODING="ascii")
    assert (done.code, done.out) == (0, "A\n\nB\n\nC ?\n")
    done = shell("$S sessions show s --format json", PYTHONIOENCODING="latin-1")
    assert json.loads(done.out)["turns"][2]["response"] == "C ü"
    done = shell("$S sessions list", PYTHONIOENCODING="ascii:strict", LC_ALL="C")
    assert done.code == 0


@pytest.fixture
def evil(bench: Bench) -> Bench:
    """A session whose prompt, answer, tool and workflow's name hold escape sequences."""
    text = f"PROMPT <<END\n{EVIL} [[tool: shell {EVIL}]] [[reply: {EVIL}]]\r\nnext\nEND\n"
    bench.write("work.conv", text + "OUTPUT-FILE out.md\nHEADER h\x1b[1m\n")
    return bench


def is_harmless(text: str) -> bool:
    harmful = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x202E)} - {"\n", "\t"}
    return not harmful & set(text)


def test_no_escape_sequence_gets_into_a_pipe_or_a_text_file(evil: Bench, tmp_path: Path) -> None:
    done = sdqctl("run", evil.project / "work.conv", "--session-name", "s")
    commands = [
        ["sessions", "show", "s"],
        ["sessions", "show", "s", "--transcript"],
        ["sessions", "export", "s", "--format", "md"],
        ["sessions", "export", "s", "--format", "html"],
        ["sessions", "list"],
        ["sessions", "search", "title"],
        ["render", str(evil.project / "work.conv")],
        ["validate", str(evil.project / "work.conv")],
        ["run", str(evil.project / "work.conv"), "--dry-run", "--session-name", "t"],
    ]
    shown = {"run": done.out + done.err}
    for command in commands:
        done = sdqctl(*command)
        assert done.out + done.err, command
        shown[" ".join(command)] = done.out + done.err
    sdqctl("sessions", "export", "s", "--format", "md", "-o", tmp_path / "s.md")
    shown["file"] = (tmp_path / "s.md").read_bytes().decode()
    shown["document"] = (evil.project / "out.md").read_bytes().decode()
    assert {name: is_harmless(text) for name, text in shown.items()} == dict.fromkeys(shown, True)
    assert "tab\there" in shown["run"]
    assert "␛[31m" in shown["run"]


def test_json_keeps_what_was_said(evil: Bench) -> None:
    sdqctl("run", evil.project / "work.conv", "--session-name", "s")
    assert EVIL in sdqctl("sessions", "show", "s", "--format", "json").json["turns"][0]["response"]


def test_nothing_is_written_into_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    out, err, pipe = Screen(), Screen(), io.StringIO()
    answered = asyncio.Event()

    async def ask() -> None:
        with output.live_line_away():
            output.write("Go on? ")
            await answered.wait()
            output.write_line("yes")

    async def story() -> None:
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0)
        output.write_line("said by another step")
        output.note("so was this")
        monkeypatch.setattr("sys.stdout", pipe)
        output.write_line("data")
        assert pipe.getvalue() == "data\n"
        monkeypatch.setattr("sys.stdout", out)
        answered.set()
        await asking

    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    asyncio.run(story())
    assert out.getvalue() == "Go on? yes\nsaid by another step\n"
    assert err.getvalue() == "so was this\n"

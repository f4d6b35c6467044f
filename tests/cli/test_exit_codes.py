"""Every row of the exit-code table through the real command line (on the mock, but for 5 and 6)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from sdqctl import errors
from tests.command import SDQCTL, Running, sdqctl


@pytest.fixture
def write(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    return project / "work.conv"


def test_0_done_and_an_empty_list_is_done(write: Path) -> None:
    write.write_text("PROMPT x [[reply: y]]\n")
    done = sdqctl("run", write)
    assert (done.code, done.out) == (0, "y\n")
    listed = sdqctl("sessions", "list", "--filter", "nothing-*", "--format", "json")
    assert (listed.code, listed.json) == (0, [])


def test_2_a_secret_in_an_option_could_not_be_kept(write: Path) -> None:
    write.write_text("SESSION-NAME s\nPROMPT x\n")
    done = sdqctl("run", write, "--prologue", "use t0ps3cret-t0ken", DEPLOY_TOKEN="t0ps3cret-t0ken")
    assert done.code == 2
    assert "--prologue" in done.err
    assert "t0ps3cret" not in done.err
    assert sdqctl("sessions", "show", "s").code == 7
    assert sdqctl("run", write, "--prologue", "use t0ps3cret-t0ken").code == 0


def test_1_a_bug_says_so_and_shows_its_traceback_on_request(home: Path) -> None:
    script = (
        "import sys\nfrom sdqctl.cli import app\napp.App = None\nsys.exit(app.run(sys.argv[1:]))\n"
    )
    for arguments, traced in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [SDQCTL[0], "-c", script, *arguments, "status"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "this is a bug in sdqctl" in done.stderr
        assert ("Traceback" in done.stderr) is traced


@pytest.mark.parametrize(
    "arguments",
    [
        ["rum"],
        ["run"],
        ["run", "work.conv", "--no-such-flag"],
        ["run", "work.conv", "--step-timeout", "never"],
        ["resume", "x"],
        ["sessions", "cleanup"],
        ["sessions", "list", "--sort", "colour"],
        ["sessions", "delete"],
    ],
)
def test_2_usage(arguments: list[str], write: Path) -> None:
    write.write_text("PROMPT x\n")
    done = sdqctl(*arguments)
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert done.out == ""


@pytest.mark.parametrize("arguments", [[], ["sessions"], ["store"]])
def test_2_a_command_that_is_not_finished_shows_its_help(arguments: list[str], home: Path) -> None:
    done = sdqctl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: sdqctl")
    assert ("Commands:" if arguments else "Begin and go on:") in done.err


def test_3_an_invalid_workflow(write: Path) -> None:
    write.write_text("MODEL m\nRUNN ls\nPROMPT x\n")
    for command in ("run", "validate", "render"):
        done = sdqctl(command, write)
        assert done.code == 3
        assert "work.conv:2:1" in done.err + done.out


@pytest.mark.parametrize(
    "text", ["PROMPT x [[fail: request]]\n", "RUN false\nPROMPT x\n", "PROMPT x [[empty]]\n"]
)
def test_4_a_failed_step(text: str, write: Path) -> None:
    write.write_text(text)
    done = sdqctl("run", write, "--session-name", "four")
    assert done.code == 4
    assert "resume four --continue" in done.err
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert listed[0]["status"] == "failed"


def test_5_the_runtime_died_twice(write: Path) -> None:
    write.write_text("PROMPT x [[die: x9]]\n")
    done = sdqctl("run", write)
    assert done.code == 5
    assert "died" in done.err


def test_6_authentication(write: Path) -> None:
    write.write_text("PROMPT x [[fail: authentication]]\n")
    assert sdqctl("run", write).code == 6


def test_7_names_that_lead_nowhere_or_twice(write: Path) -> None:
    write.write_text("PROMPT x [[reply: y]]\n")
    for name in ("alpha-1", "alpha-2"):
        assert sdqctl("run", write, "--session-name", name).code == 0
    unknown = sdqctl("resume", "alpha-3", "--prompt", "x")
    assert unknown.code == 7
    assert "alpha-1" in unknown.err
    ambiguous = sdqctl("resume", "alpha", "--prompt", "x")
    assert ambiguous.code == 7
    assert "alpha-2" in ambiguous.err
    assert sdqctl("run", write, "--session-name", "ALPHA-1").code == 7
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert [entry["turns"] for entry in listed] == [1, 1]


def test_8_a_pause_and_the_way_on(write: Path) -> None:
    write.write_text("PROMPT a [[reply: b]]\nPAUSE look at it\nPROMPT c [[reply: d]]\n")
    done = sdqctl("run", write, "--session-name", "eight")
    assert (done.code, done.out) == (8, "b\n")
    assert "look at it" in done.err
    assert "sdqctl resume eight --continue" in done.err
    assert sdqctl("sessions", "list", "--format", "json").json[0]["status"] == "paused"
    on = sdqctl("resume", "eight", "--continue")
    assert (on.code, on.out) == (0, "d\n")


def test_9_a_store_that_is_newer_or_damaged(write: Path, home: Path) -> None:
    write.write_text("PROMPT a [[reply: b]]\n")
    assert sdqctl("run", write, "--session-name", "nine").code == 0
    database = next((home / "sdqctl").glob("*.db"))
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999-the-future', '2099-01-01')")
    connection.close()
    newer = sdqctl("run", write)
    assert newer.code == 9
    assert "newer" in newer.err
    for extra in (home / "sdqctl").glob("*.db-*"):
        extra.unlink()
    database.write_bytes(b"this is no database" * 500)
    damaged = sdqctl("run", write)
    assert damaged.code == 9
    assert str(database) in damaged.err
    assert "Traceback" not in damaged.err


@pytest.mark.parametrize(
    ("order", "budget"), [("rate-limit x1", "0"), ("network x2", "0.5s"), ("server x2", "0.5s")]
)
def test_75_try_again_later(order: str, budget: str, write: Path) -> None:
    write.write_text(f"PROMPT a [[fail: {order}]] [[reply: b]]\n")
    done = sdqctl("run", write, "--session-name", "later", "--retry-for", budget)
    assert done.code == 75, done.err
    on = sdqctl("resume", "later", "--continue", "--retry-for", "0")
    assert (on.code, on.out) == (0, "b\n"), on.err


def test_130_interrupted_and_resumable(write: Path) -> None:
    write.write_text("PROMPT a [[reply: b]]\nRUN sleep 60\nPROMPT c\n")
    process = Running(
        "run",
        str(write),
        "--session-name",
        "stop",
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[2/3]"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "sdqctl resume stop --continue" in err


def test_every_error_has_the_exit_code_that_its_table_says() -> None:
    table = errors.__doc__ or ""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SdqctlError)
    ]
    assert len(kinds) > 20
    for kind in kinds:
        row = next(line for line in table.splitlines() if f" {kind.__name__} " in f" {line} ")
        if kind is not errors.SdqctlError:
            assert row.split()[-2:] == [str(kind.exit_code), kind.code]


def test_a_killed_run_shows_as_interrupted(write: Path) -> None:
    write.write_text("PROMPT a [[reply: b]]\nPROMPT c [[stall]]\n")
    process = Running("run", str(write), "--session-name", "killed", stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[2/2]"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 120
    while Path(f"/proc/{process.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    entry = sdqctl("sessions", "list", "--format", "json").json[0]
    assert (entry["status"], entry["in_use"]) == ("interrupted", False)
    assert (entry["run"]["steps_done"], entry["run"]["steps_total"]) == (1, 2)

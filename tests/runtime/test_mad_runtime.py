"""A runtime that writes nonsense, or without end: what it breaks is fixed, and no memory fills."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.conftest import ROOT, RUNTIME
from tests.runtime.meddler import WAYS
from tests.sampling import some

pytestmark = pytest.mark.runtime

UNHEARD = ["garbage", "giant", "no_json", "no_text", "closed", "endless_line"]
HARMLESS = ["no_object", "odd_events", "errors"]
ENDS = ["ends_after_create", "ends_before_create"]
SLOWLY = "PROMPT one [[sleep: {}]] [[reply: first]]\nPROMPT two [[reply: second]]\n"
PEAK = """\
import resource, sys
from sdqctl.cli.app import run
code = run(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def meddle(
    home: Path, project: Path, model: LoopbackModel, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    program = home / "meddler"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.runtime.meddler import main\nmain()\n"
    )
    program.chmod(0o700)
    outside_of_the_sandbox(home, monkeypatch)
    monkeypatch.setenv("COPILOT_CLI_PATH", str(program))
    monkeypatch.setenv("MEDDLE_RUNTIME", str(RUNTIME))
    monkeypatch.setenv("MEDDLE_MARK", str(home / "meddled"))
    return monkeypatch


def outside_of_the_sandbox(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-in for the runtime reach this repository."""
    (home / "my.toml").write_text('sandbox = "none"\n')
    monkeypatch.setenv("SDQCTL_CONFIG", str(home / "my.toml"))


def test_every_way_is_tried() -> None:
    assert {*UNHEARD, *HARMLESS, *ENDS, "flood"} == set(WAYS)


@pytest.mark.parametrize("way", [*some(1, UNHEARD), *some(0, HARMLESS), *some(0, ENDS)])
def test_the_run_comes_to_its_end(
    way: str, meddle: pytest.MonkeyPatch, home: Path, model: LoopbackModel
) -> None:
    meddle.setenv("MEDDLE", way)
    Path("w.conv").write_text("SESSION-NAME mad\n" + SLOWLY.format(1))
    done = sdqctl("run", "w.conv", "--idle-timeout", "60s")
    assert (home / "meddled").exists()
    assert (done.code, done.out) == (0, "first\n\nsecond\n"), done.err
    assert "Traceback" not in done.err
    assert ("cannot be understood any more" in done.err) is (way in UNHEARD), done.err
    assert ("ended unexpectedly" in done.err) is (way in ENDS), done.err
    assert ("and was ended" in done.err) is (way in UNHEARD), done.err
    assert "exit code -9" not in done.err
    said = [text.split()[0] for text in model.user_messages()]
    assert said == ["one", "two"]


@pytest.mark.thorough
def test_a_runtime_that_stays_mad_is_exit_5_and_the_run_goes_on_later(
    meddle: pytest.MonkeyPatch,
) -> None:
    meddle.setenv("MEDDLE", "giant")
    meddle.delenv("MEDDLE_MARK")
    Path("w.conv").write_text("SESSION-NAME mad\n" + SLOWLY.format(4))
    failed = sdqctl("run", "w.conv")
    assert failed.code == 5, failed.err
    assert "cannot be understood any more" in failed.err
    meddle.setenv("COPILOT_CLI_PATH", str(RUNTIME))
    done = sdqctl("resume", "mad", "--continue")
    assert (done.code, done.out) == (0, "first\n\nsecond\n"), done.err


@pytest.mark.thorough
def test_a_journal_that_cannot_be_written_is_exit_5_and_nothing_is_lost(
    home: Path, project: Path, model: LoopbackModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: no file of the runtime may grow beyond 200 KiB."""
    program = home / "limited"
    program.write_text(f"#!/bin/sh\ntrap '' XFSZ\nulimit -f 400\nexec {RUNTIME} \"$@\"\n")
    program.chmod(0o700)
    prompts = [f"{number} {'word ' * 6000}[[reply: answer {number}]]" for number in range(8)]
    Path("w.conv").write_text("SESSION-NAME full\n" + "".join(f"PROMPT {p}\n" for p in prompts))
    outside_of_the_sandbox(home, monkeypatch)
    monkeypatch.setenv("COPILOT_CLI_PATH", str(program))
    failed = sdqctl("run", "w.conv")
    assert failed.code == 5, failed.err
    assert "could not store the session" in failed.err
    monkeypatch.setenv("COPILOT_CLI_PATH", str(RUNTIME))
    done = sdqctl("resume", "full", "--continue")
    assert done.code == 0, done.err
    answers = [f"answer {number}" for number in range(8)]
    turns = sdqctl("sessions", "show", "full", "--format", "json").json["turns"]
    assert [turn["response"] for turn in turns] == answers
    assert model.user_messages() == prompts


@pytest.mark.thorough
def test_a_flood_of_events_fills_no_memory(meddle: pytest.MonkeyPatch, home: Path) -> None:
    Path("w.conv").write_text(SLOWLY.format(30))
    peaks = []
    for way in ("errors", "flood"):
        (home / "meddled").unlink(missing_ok=True)
        meddle.setenv("MEDDLE", way)
        done = peak("run", "w.conv", "--session-name", way, "--step-timeout", "5s")
        assert "no answer within 5.0s" in done
        peaks.append(int(re.findall(r"^peak (\d+)$", done, re.MULTILINE)[0]))
    calm, flooded = peaks
    assert flooded < 1.2 * calm, f"{flooded} kB against {calm} kB"


def peak(*arguments: str) -> str:
    """Run sdqctl so that it tells its peak memory; what it wrote to stderr."""
    return subprocess.run(
        [sys.executable, "-c", PEAK, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stderr

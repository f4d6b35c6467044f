"""`sdqctl doctor` says what is missing, and fails where runs would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import Done, sdqctl


def states(done: Done) -> dict[str, str]:
    """The state of each part."""
    return {each["part"]: each["state"] for each in done.json}


def doctor(**environment: str) -> Done:
    return sdqctl("doctor", "--format", "json", **environment)


def test_an_installation_that_has_all_is_well_and_nothing_is_made(bench: Bench) -> None:
    done = doctor()
    assert (done.code, {*states(done).values()} <= {"ok", "lacks"}) == (0, True), done.out
    assert not (bench.home / "sdqctl").exists()
    text = sdqctl("doctor")
    assert text.code == 0
    assert text.out.split()[:2] == ["ok", "sdqctl"]


def test_a_runtime_that_is_missing_is_a_problem_with_its_remedy(home: Path, project: Path) -> None:
    done = sdqctl("doctor", COPILOT_CLI_PATH=str(project / "none"))
    assert done.code == 5
    assert "problem  runtime" in done.out
    assert "error: 1 problem: runtime" in done.err


def test_a_runtime_that_fails_is_told_with_what_it_said_last(home: Path, project: Path) -> None:
    program = project / "copilot"
    program.write_text("#!/bin/sh\necho first >&2\necho 'no room in ~/.cache' >&2\nexit 1\n")
    program.chmod(0o755)
    done = sdqctl("doctor", COPILOT_CLI_PATH=str(program))
    assert done.code == 5
    assert "it ends with exit status 1: no room in ~/.cache" in done.out
    assert "npm install" not in done.out


def test_nobody_signed_in_is_a_problem_of_the_model(home: Path, project: Path) -> None:
    done = doctor(COPILOT_OFFLINE="")
    assert (done.code, states(done)["model"]) == (5, "problem")
    (model,) = (each for each in done.json if each["part"] == "model")
    assert "sdqctl login" in model["hint"]


def test_a_broken_configuration_is_told_and_the_rest_is_not_known(bench: Bench) -> None:
    file = bench.write("mine.toml", "nothing = 1\n")
    done = doctor(SDQCTL_CONFIG=str(file))
    assert (done.code, states(done)) == (5, {"sdqctl": "ok", "configuration": "problem"})


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0garbage" * 99])
def test_a_ledger_that_cannot_be_read_is_a_problem(bench: Bench, content: bytes) -> None:
    folder = bench.home / "sdqctl"
    folder.mkdir(mode=0o700)
    (folder / "ledger.db").write_bytes(content)
    done = doctor()
    assert (done.code, states(done)["data"]) == (5, "problem")


def test_without_git_there_is_less_but_runs_go(bench: Bench, tmp_path: Path) -> None:
    done = doctor(PATH=str(tmp_path))
    assert (done.code, states(done)["git"]) == (0, "lacks")

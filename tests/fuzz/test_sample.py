"""A fixed sample of what `make fuzz` does, and whether its oracle sees what it must."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.fuzz.denied_files import DeniedFile
from tests.fuzz.injection import play, values
from tests.fuzz.judging import KINDS, Fuzz
from tests.fuzz.lines import Lines
from tests.fuzz.shells import Shells
from tests.policy.test_shell_cases import CASES


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach, since lines run as nobody."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.thorough
def test_what_is_allowed_runs_nothing_else(folder: Path) -> None:
    fuzz = Fuzz(20, folder)
    findings = [finding for _ in range(3 * len(KINDS)) for finding in fuzz.batch(120)]
    assert not findings
    assert fuzz.count.allowed > 100


def test_what_is_allowed_opens_no_denied_file(folder: Path) -> None:
    fuzz = DeniedFile(1, folder)
    assert fuzz.batch(120) == []
    assert fuzz.ran > 60


@pytest.mark.parametrize(
    "line",
    ["cat secret/k", "x=ret; cat sec$x/k", "cd secret; cat k", "sh -c 'cat \"$0\"/k' secret"],
)
def test_the_oracle_sees_an_opened_file(line: str, folder: Path) -> None:
    fuzz = DeniedFile(1, folder)
    assert fuzz.opens(line)
    assert not fuzz.opens("cat src/k; cat k")


def test_a_line_that_does_not_end_is_ended_with_what_it_started(folder: Path) -> None:
    fuzz = DeniedFile(1, folder, patience=0.5)
    assert fuzz.opens("(while :; do cat secret/k; done) & wait")
    (folder / "log").write_text("")
    time.sleep(0.2)
    assert (folder / "log").read_text() == ""


def test_the_same_seed_makes_the_same_lines() -> None:
    some, again = iter(Lines(5)), iter(Lines(5))
    assert [next(some) for _ in range(200)] == [next(again) for _ in range(200)]


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("git x; evil", {"git", "evil"}),
        ("LANG=$((i))", {"evil"}),
        ("bash -c 'LANG=$(($0))' 'a[$(evil)]'", {"evil"}),
        ("sh -c 'LANG=$[ 1 | evil ]'", {"not found: 1", "evil"}),
        ("unheard-of x", {"not found: unheard-of"}),
        ("PATH=1; git x", {"other git"}),
        ("cd ..; git x", {"git", "place"}),
        ("GIT_PAGER=evil git log", {"git", "variable"}),
    ],
)
def test_the_oracle_sees_what_runs(line: str, programs: set[str], folder: Path) -> None:
    (seen,) = Shells(folder).run([line], sh="dash", value="z[$(evil)]")
    assert programs - {"not found: 1"} <= seen.programs


def test_the_oracle_takes_no_part_of_an_unknown_name_for_a_program(folder: Path) -> None:
    (seen,) = Shells(folder).run(["'x\nevil\ny'; git x"], sh="dash", value="1")
    assert seen.programs == {"not found: $'x\\nevil\\ny'", "git"}


@pytest.mark.thorough
def test_the_oracle_sees_which_line_made_a_file_and_which_did_not_end(folder: Path) -> None:
    lines = ["git a", "git b > made", "until false; do read -t 1 < <(sleep 9); done", "git c"]
    seen = {each.line: each for each in Shells(folder, patience=2).run(lines, sh="dash", value="1")}
    assert seen.keys() == {lines[0], lines[1], lines[3]}
    assert seen[lines[1]].files == {"made"}
    assert not seen[lines[0]].files
    assert not seen[lines[3]].files


@pytest.mark.parametrize("sh", ["dash", "bash"])
def test_the_allowed_lines_of_the_table_run_nothing_else_in_real_shells(
    sh: str, folder: Path
) -> None:
    few = {"shell(git:*)", "shell(echo:*)", "shell(printf:*)", "shell(test:*)", "shell([:*)"}
    lines = [
        case.target
        for case in CASES
        if case.expect == "A" and case.mode == "audit" and few >= set(case.allow)
        if not case.limit and "{base}" not in case.target
    ]
    assert len(lines) > 200
    for seen in Shells(folder).run(lines, sh=sh, value="z[$(evil)]"):
        assert not KINDS[0].foreign(seen), seen


@pytest.mark.thorough
def test_a_value_becomes_no_variable_no_step_and_no_command(bench: Bench) -> None:
    assert play(bench.project, values(3, 15)) == []

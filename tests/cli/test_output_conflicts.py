"""No output takes the place of a workflow, or of another output: nothing starts then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import Done, sdqctl

WORK = "SESSION-NAME s\nPROMPT a [[reply: A]]\n"


@pytest.fixture
def folder(bench: Bench) -> Path:
    """A project with a workflow, and other paths that lead to it and to a file not there yet."""
    bench.write("work.conv", WORK)
    bench.write("part.conv", "PROMPT b\n")
    (bench.project / "sub").mkdir()
    (bench.project / "linked.conv").symlink_to("work.conv")
    os.link(bench.project / "work.conv", bench.project / "hard.conv")
    (bench.project / "here").symlink_to(".")
    (bench.project / "later.md").symlink_to("out.md")
    return bench.project


def refused(*arguments: str | Path, code: int = 2) -> Done:
    """A command that is refused before anything: no file changes, no session is made."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    done = sdqctl(*arguments)
    assert (done.code, done.out) == (code, ""), done.err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert sdqctl("sessions", "list", "--format", "json").json == []
    return done


@pytest.mark.each(4)
@pytest.mark.parametrize("flag", ["--output", "--summary", "--junit", "--state"])
@pytest.mark.parametrize(
    "path", ["work.conv", "sub/../work.conv", "linked.conv", "hard.conv", "here/work.conv"]
)
def test_an_output_that_is_the_workflow_is_refused(flag: str, path: str, folder: Path) -> None:
    done = refused("run", "work.conv", flag, path)
    assert f"{flag} " in done.err
    assert "the workflow's own file" in done.err
    refused("run", "--ci", path, flag, "work.conv")


@pytest.mark.each(3)
@pytest.mark.parametrize("other", ["out.md", "./sub/../out.md", "here/out.md", "later.md"])
@pytest.mark.parametrize(
    ("one", "two"),
    [("--summary", "--junit"), ("--state", "--output"), ("--junit", "--state")],
)
def test_two_outputs_that_are_one_file_are_refused(
    one: str, two: str, other: str, folder: Path
) -> None:
    done = refused("run", "work.conv", one, "out.md", two, other)
    assert "write to one file" in done.err
    assert one in done.err
    assert two in done.err


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("head", "flags", "code"),
    [
        ("OUTPUT-FILE out.md\n", ("--junit", "out.md"), 2),
        ("EVENT-LOG out.md\n", ("--output", "here/out.md"), 2),
        ("OUTPUT-FILE out.md\nEVENT-LOG here/out.md\n", (), 3),
        ("OUTPUT-FILE plain\n", (), 3),
        ("CALL part.conv\n", ("--summary", "part.conv"), 2),
        ("CALL part.conv\n", ("--output", "part.conv"), 2),
        ("NO-DIRECTIVE\n", ("--summary", "plain"), 2),
    ],
)
def test_what_the_workflow_writes_and_calls_counts(
    head: str, flags: tuple[str, ...], code: int, folder: Path
) -> None:
    (folder / "plain").write_text(f"{head}{WORK}")
    refused("run", "plain", *flags, code=code)


def test_a_batch_has_a_file_for_each_run(folder: Path) -> None:
    components = ("--components", "src/*")
    for name in ("a__b", "a/b"):
        (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "src" / name).write_text("")
    each = folder / "each.conv"
    each.write_text("PROMPT {{COMPONENT_PATH}}\nOUTPUT-FILE out.md\n")
    refused("apply", each, "--components", "src/**/*b", "--parallel", "2")
    refused("apply", each, *components, "--junit", "out.md")
    refused("apply", each, *components, "--summary", each)
    each.write_text("PROMPT {{COMPONENT_PATH}}\n")
    refused("apply", each, "--components", "src/**/*b", "--output-dir", "reports")
    other = folder / "other.conv"
    for path in (each, other):
        path.write_text("PROMPT a\nOUTPUT-FILE out.md\n")
    refused("run", each, other)
    refused("run", each, other, "--summary", other)


def test_several_outputs_go_to_one_device_or_open_file(folder: Path) -> None:
    done = sdqctl("run", "work.conv", "--summary", "/dev/null", "--junit", "/dev/null")
    assert done.code == 0, done.err
    shown = ("--summary", "/dev/stdout", "--output", "/dev/stdout")
    done = sdqctl("run", "work.conv", "--session-name", "t", *shown)
    assert done.code == 0, done.err

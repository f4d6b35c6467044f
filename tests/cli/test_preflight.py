"""What can be known without a runtime is said before a session is made, by all commands alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl

BROKEN = """ADAPTER mock
CONTEXT @missing.md
REFCAT @work.conv#L90-L100
PROLOGUE @nope.md
PROMPT hello
"""


@pytest.mark.parametrize("command", ["validate", "run", "iterate"])
def test_all_missing_files_are_errors_with_their_places(bench: Bench, command: str) -> None:
    path = bench.write("work.conv", BROKEN)
    done = sdqctl(command, path)
    assert done.code == 3
    said = done.out + done.err
    for place in ("work.conv:2:9: @missing.md", "work.conv:3:8: ", "work.conv:4:1: "):
        assert place in said


def test_render_ends_with_the_same_exit_code(bench: Bench) -> None:
    assert sdqctl("render", bench.write("work.conv", BROKEN)).code == 3


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_no_session_is_made_for_a_workflow_that_cannot_begin(
    bench: Bench, arguments: tuple[str, ...]
) -> None:
    assert sdqctl("run", bench.write("work.conv", BROKEN), *arguments).code == 3
    assert sdqctl("sessions", "list", "--format", "json").json == []


def test_apply_makes_no_session_when_one_component_cannot_begin(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.write(f"src/{name}.py", "")
    bench.write("src/a.md", "notes")
    path = bench.write(
        "w.conv", "PROLOGUE @{{COMPONENT_DIR}}/{{COMPONENT_NAME}}.md\nPROMPT go on\n"
    )
    done = sdqctl("apply", path, "--components", "src/*.py")
    assert (done.code, "b.md" in done.err, "a.md" in done.err) == (3, True, False)
    assert sdqctl("sessions", "list", "--format", "json").json == []


def test_a_file_that_an_earlier_step_makes_is_awaited(bench: Bench) -> None:
    text = "ALLOW-SHELL true\nRUN echo made > made.md\nPROLOGUE @made.md\nPROMPT read it\n"
    path = bench.write("work.conv", text)
    checked = sdqctl("validate", path)
    assert checked.code == 0
    assert "warning" in checked.out and "made.md" in checked.out
    assert bench.run(text).done.code == 0


def test_steps_that_are_done_are_not_checked_again(bench: Bench) -> None:
    note = bench.write("note.md", "look")
    assert bench.run("CONTEXT @note.md\nPROMPT one\nPAUSE\nPROMPT two\n").done.code == 8
    note.unlink()
    assert bench.resume("--continue").done.code == 0


def test_an_unknown_adapter_is_an_error_of_the_file(bench: Bench) -> None:
    path = bench.write("work.conv", "ADAPTER moc\nPROMPT hello\n")
    for command in ("validate", "run"):
        done = sdqctl(command, path)
        said = done.out + done.err
        assert (done.code, "work.conv:1:9: unknown adapter 'moc'" in said) == (3, True)
        assert "did you mean mock?" in said
    assert sdqctl("run", path, "-a", "mock").code == 0


def test_a_misspelt_mode_is_refused_on_the_command_line(bench: Bench, project: Path) -> None:
    path = bench.write("work.conv", "PROMPT hello\n")
    done = sdqctl("run", path, "--mode", "implment")
    assert (done.code, "did you mean implement?" in done.err) == (2, True)


def test_an_unknown_mode_of_a_workflow_warns_when_it_runs(bench: Bench) -> None:
    path = bench.write("work.conv", "MODE deep thought\nPROMPT hello\n")
    assert "warning: unknown MODE 'deep thought': tools may only read" in sdqctl("run", path).err
    assert "MODE" not in sdqctl("run", path, "-q", "--session-name", "quiet").err

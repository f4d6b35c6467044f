"""What a run is told of its component, whatever command goes on with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import Done, sdqctl

STEPS = (
    "PROMPT Check [[reply: ok]]\nALLOW-SHELL true\n"
    'RUN test -e go && echo {{COMPONENT_NAME}} "$SDQCTL_COMPONENT_TYPE" {{ITERATION_INDEX}}\n'
    "CALL inner.conv\nPROMPT Move {{COMPONENT_PATH}} now. [[reply: A]]\n"
)
INNER = "PROMPT Inside of {{COMPONENT_DIR}} [[reply: I]]\n"
FOR_B = ["Check [[reply: ok]]", "Move src/b.py now. [[reply: A]]"]
OUTPUT = "b py 2"


@pytest.fixture
def failed(bench: Bench) -> Bench:
    """A run for each of two components, both of which stand before a command that fails."""
    for name in ("src/a.py", "src/b.py"):
        bench.write(name, "x = 1\n")
    bench.write("inner.conv", INNER)
    bench.write("comp.conv", STEPS)
    done = sdqctl("apply", "comp.conv", "--components", "src/*.py", "--keep-going")
    assert done.code == 4, done.err
    bench.write("go", "")
    return bench


def prompts(name: str) -> list[str]:
    shown = sdqctl("sessions", "show", name, "--format", "json").json
    return [str(turn["prompt"]) for turn in shown["turns"]]


def is_for_b(name: str) -> None:
    first, last = prompts(name)
    assert (first, last.rpartition("\n")[2]) == (FOR_B[0], FOR_B[1])
    assert OUTPUT in last
    assert prompts(f"{name}/inner") == ["Inside of src [[reply: I]]"]


def on(name: str, *flags: str) -> Done:
    return sdqctl("resume", name, "--continue", *flags)


def resumed() -> tuple[str, Done]:
    return "comp/src/b.py", on("comp/src/b.py", "--wait", "1s")


def detached() -> tuple[str, Done]:
    begun = on("comp/src/b.py", "--detach")
    assert begun.code == 0, begun.err
    return "comp/src/b.py", sdqctl("watch", "comp/src/b.py")


def run_again() -> tuple[str, Done]:
    named = ("--session-name", "comp/src/b.py", "--resume-if-exists")
    return "comp/src/b.py", sdqctl("run", "comp.conv", *named)


def forked() -> tuple[str, Done]:
    assert sdqctl("sessions", "fork", "comp/src/b.py", "twin").code == 0
    return "twin", on("twin")


def carried() -> tuple[str, Done]:
    bundle = ("--format", "bundle", "--output", "b.bundle")
    assert sdqctl("sessions", "export", "comp/src/b.py", *bundle).code == 0
    assert sdqctl("sessions", "import", "b.bundle", "--name", "there").code == 0
    return "there", on("there")


@pytest.mark.parametrize(
    "way", [resumed, detached, run_again, forked, carried], ids=lambda f: f.__name__
)
def test_a_run_goes_on_for_the_component_that_it_was_begun_for(
    way: Callable[[], tuple[str, Done]], failed: Bench
) -> None:
    name, done = way()
    assert done.code == 0, done.err
    assert "is not known" not in done.err
    is_for_b(name)


def test_what_is_done_for_a_component_is_not_done_again(failed: Bench) -> None:
    assert on("comp/src/b.py").code == 0
    done = sdqctl("apply", "comp.conv", "--components", "src/*.py")
    assert done.code == 0, done.err
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["completed", "skipped"]
    is_for_b("comp/src/b.py")


def of_an_older_version(home: Path) -> None:
    """Have the ledger know no components, as before they were recorded."""
    with sqlite3.connect(home / "sdqctl" / "ledger.db") as connection:
        connection.execute("UPDATE runs SET options = json_remove(options, '$.component')")
    connection.close()


def test_a_run_whose_component_nobody_recorded_is_left_to_apply(failed: Bench, home: Path) -> None:
    of_an_older_version(home)
    refused = on("comp/src/b.py")
    assert refused.code == 2
    assert "COMPONENT_NAME" in refused.err
    assert "give the `sdqctl apply` again that began it" in refused.err
    assert prompts("comp/src/b.py") == FOR_B[:1]
    done = sdqctl("apply", "comp.conv", "--components", "src/*.py")
    assert done.code == 0, done.err
    is_for_b("comp/src/b.py")
    of_an_older_version(home)
    again = sdqctl("apply", "comp.conv", "--components", "src/*.py")
    assert [line.split("\t")[1] for line in again.out.splitlines()] == ["skipped"] * 2
    assert on("comp/src/b.py").code == 0, "nothing is left to be done"


def test_a_run_that_was_not_begun_for_a_component_needs_no_record(bench: Bench, home: Path) -> None:
    assert bench.run("PROMPT a [[reply: A]]\nPAUSE\nPROMPT b [[reply: B]]\n").done.code == 8
    of_an_older_version(home)
    assert bench.resume("--continue").prompts == ["b [[reply: B]]"]


@pytest.mark.parametrize("first", ["apply", "run"])
def test_a_session_of_something_else_is_a_name_that_is_taken(first: str, bench: Bench) -> None:
    bench.write("fixed.conv", "SESSION-NAME same\nPROMPT {{COMPONENT_PATH}} [[reply: A]]\n")
    bench.write("src/a.py", "")
    bench.write("src/b.py", "")
    given = ("--components", "src/a.py") if first == "apply" else ()
    assert sdqctl(first, "fixed.conv", *given).code == 0
    before = prompts("same")
    taken = sdqctl("apply", "fixed.conv", "--components", "src/b.py")
    assert taken.code == 7
    assert "session 'same'" in taken.err
    assert ("component src/a.py" if given else "no component") in taken.err
    assert "put {{COMPONENT_PATH}} into" in taken.err
    assert prompts("same") == before
    if given:
        assert sdqctl("apply", "fixed.conv", *given).out.split("\t")[1] == "skipped"


def test_a_component_of_another_folder_is_another_one_until_that_folder_moves(
    bench: Bench,
) -> None:
    bench.write("each.conv", "PROMPT {{COMPONENT_PATH}} [[reply: A]]\n")
    bench.write("one/src/a.py", "")
    bench.write("two/src/a.py", "")
    command = ("apply", "each.conv", "--components", "src/a.py", "--cwd")
    assert sdqctl(*command, "one").code == 0
    taken = sdqctl(*command, "two")
    assert taken.code == 7
    assert f"component src/a.py in {bench.project / 'one'}" in taken.err
    named = sdqctl(*command, "two", "--session-name", "two/{{COMPONENT_PATH}}")
    assert named.out.split("\t")[1] == "completed"
    (bench.project / "one").rename(bench.project / "three")
    assert sdqctl(*command, "three").out.split("\t")[1] == "skipped"


def test_a_component_that_the_ledger_may_not_keep_is_left_to_apply(bench: Bench) -> None:
    bench.write("list.txt", "keys/AKIA" + "IOSFODNN7EXAMPLE.txt\n")
    bench.write("each.conv", "RUN test -e go\nPROMPT {{COMPONENT_NAME}} [[reply: A]]\n")
    command = ("apply", "each.conv", "--components", "@list.txt", "--session-name", "s")
    assert sdqctl(*command).code == 4
    bench.write("go", "")
    assert on("s").code == 2
    assert prompts("s") == []
    done = sdqctl(*command)
    assert done.code == 0, done.err


def test_another_value_of_a_component_is_told_with_its_name(bench: Bench) -> None:
    bench.write("each.conv", "INPUT who\nPROMPT {{who}} [[reply: A]]\n")
    for value, code in (("x", 0), ("y", 2)):
        bench.write("list.json", json.dumps([{"name": "one", "who": value}]))
        done = sdqctl("apply", "each.conv", "--components", "@list.json")
        assert done.code == code, done.err
    assert "component one: input who: the run was begun with another value" in done.err
    assert "--set" not in done.err

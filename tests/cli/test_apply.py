"""A workflow for many components, and many workflows at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from sdqctl.model.session import SessionRef
from sdqctl.store.locks import SessionLock
from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import Running, sdqctl

EACH = "PROMPT {{COMPONENT_PATH}} {{ITERATION_INDEX}}/{{ITERATION_TOTAL}} [[reply: A]]\nPROMPT b\n"


@pytest.fixture
def parts(bench: Bench) -> Bench:
    for name in ("a.py", "b.py", "deep/c.py", "notes.txt"):
        bench.write(f"src/{name}", "x = 1\n")
    bench.write("each.conv", EACH)
    return bench


def sessions() -> dict[str, str]:
    listed = sdqctl("sessions", "list", "--format", "json").json
    return {entry["name"]: entry["status"] for entry in listed}


def first_prompt(name: str) -> str:
    shown = sdqctl("sessions", "show", "--format", "json", "--", name).json
    return str(shown["turns"][0]["prompt"])


def test_each_component_has_a_session_of_its_own_with_its_variables(parts: Bench) -> None:
    done = sdqctl("apply", "each.conv", "--components", "src/**/*.py", "--parallel", "2")
    assert done.code == 0, done.err
    names = ["each/src/a.py", "each/src/b.py", "each/src/deep/c.py"]
    assert sessions() == dict.fromkeys(names, "completed")
    assert first_prompt("each/src/deep/c.py").startswith("src/deep/c.py 3/3")
    assert [line.split("\t")[:2] for line in done.out.splitlines()] == [
        ["src/a.py", "completed"],
        ["src/b.py", "completed"],
        ["src/deep/c.py", "completed"],
    ]


def test_from_and_show_prompts_hold_for_each_component(parts: Bench) -> None:
    options = ("each.conv", "--components", "src/*.py", "--from", "2", "--show-prompts")
    done = sdqctl("apply", *options)
    assert done.code == 0, done.err
    assert "src/a.py > b" in done.err
    assert "src/b.py: warning: skipped (--from 2): step 1" in done.err
    assert first_prompt("each/src/a.py") == "b"
    assert sdqctl("apply", *options, "--dry-run").code == 0
    wrong = sdqctl("apply", "each.conv", "--components", "src/*.py", "--from", "9")
    assert wrong.code == 2
    assert "steps 1 to 2" in wrong.err


@pytest.mark.parametrize(
    "flags", [("--output", "x.md"), ("--format", "jsonl"), ("--ask", "--parallel", "2"), ("--ask",)]
)
def test_options_for_one_run_are_refused(flags: tuple[str, ...], parts: Bench) -> None:
    applied = ["apply", "each.conv", "--components", "src/*.py"]
    for command in (applied, ["run", "each.conv", "each.conv"]):
        done = sdqctl(*command, *flags)
        assert done.code == 2
        assert flags[0] in done.err
    assert sessions() == {}


def test_components_come_from_a_list_and_names_from_a_template(parts: Bench) -> None:
    parts.write("list.txt", "# two of them\nalpha\n\nbeta/x.c\nalpha\n")
    text = "PROMPT {{COMPONENT_NAME}}|{{COMPONENT_DIR}}|{{COMPONENT_TYPE}} [[reply: A]]\n"
    parts.write("each.conv", text)
    options = (
        "--components",
        "@list.txt",
        "--session-name",
        "{{ITERATION_INDEX}}-{{COMPONENT_NAME}}",
    )
    done = sdqctl("apply", "each.conv", *options, "--format", "json")
    assert done.code == 0, done.err
    assert set(sessions()) == {"1-alpha", "2-x"}
    assert first_prompt("2-x").startswith("x|beta|c ")
    assert [entry["status"] for entry in done.json] == ["completed", "completed"]
    same = sdqctl("apply", "each.conv", "--components", "@list.txt", "--session-name", "same")
    assert same.code == 2
    assert "both run in session" in same.err


def test_answers_are_written_a_file_each(parts: Bench) -> None:
    sdqctl("apply", "each.conv", "--components", "src/*.py", "--output-dir", "out")
    written = sorted(path.name for path in (parts.project / "out").iterdir())
    assert written == ["src__a.py.md", "src__b.py.md"]
    assert (parts.project / "out/src__a.py.md").read_text().startswith("A\n")


def test_globs_and_lists_add_up_and_each_component_is_done_once(parts: Bench) -> None:
    parts.write("list.txt", "src/a.py\nREADME\n")
    more = ["--components", "src/*.py", "--components", "@list.txt"]
    done = sdqctl("apply", "each.conv", *more)
    assert done.code == 0, done.err
    assert sorted(sessions()) == ["each/README", "each/src/a.py", "each/src/b.py"]
    parts.write("values.json", '[{"name": "src/a.py", "who": "x"}]')
    other = sdqctl("apply", "each.conv", *more, "--components", "@values.json")
    assert (other.code, "src/a.py stands in another" in other.err) == (2, True), other.err


def test_components_that_another_process_has_are_to_be_tried_again_later(parts: Bench) -> None:
    command = ["apply", "each.conv", "--components", "src/*.py", "--keep-going"]
    sdqctl(*command)
    parts.write("each.conv", f"{EACH}PROMPT c\n")
    listed = sdqctl("sessions", "list", "--format", "json").json
    refs = [SessionRef("mock", entry["id"]) for entry in listed]
    with ExitStack() as held:
        for ref in refs:
            held.enter_context(SessionLock.acquire(parts.home / "sdqctl", ref))
        assert sdqctl(*command).code == 75
    parts.write("each.conv", f"{EACH}RUN false\n")
    with SessionLock.acquire(parts.home / "sdqctl", refs[0]):
        assert sdqctl(*command).code == 4


def test_a_failure_stops_the_others_unless_told_and_again_does_what_is_left(parts: Bench) -> None:
    parts.write("each.conv", "PROMPT {{COMPONENT_NAME}} [[reply: A]]\nRUN sh check.sh\nPROMPT c\n")
    parts.write("check.sh", "exit 1\n")
    stopped = sdqctl("apply", "each.conv", "--components", "src/*.py", "--format", "json")
    assert stopped.code == 4
    assert [entry["status"] for entry in stopped.json] == ["failed", "not-started"]
    going = sdqctl(
        "apply", "each.conv", "--components", "src/*.py", "--keep-going", "--format", "json"
    )
    assert going.code == 4
    assert [entry["status"] for entry in going.json] == ["failed", "failed"]
    parts.write("check.sh", "exit 0\n")
    done = sdqctl("apply", "each.conv", "--components", "src/*.py", "--format", "json")
    assert done.code == 0, done.err
    again = sdqctl("apply", "each.conv", "--components", "src/*.py", "--format", "json")
    assert [entry["status"] for entry in again.json] == ["skipped", "skipped"]
    for name in ("each/src/a.py", "each/src/b.py"):
        shown = sdqctl("sessions", "show", "--format", "json", "--", name).json
        assert len(shown["turns"]) == 2


def test_no_component_is_an_error(parts: Bench) -> None:
    assert sdqctl("apply", "each.conv", "--components", "*.rs").code == 2
    assert sdqctl("apply", "each.conv", "--components", "@none.txt").code == 2
    assert sdqctl("apply", "each.conv").code == 2


def test_several_workflows_run_side_by_side(parts: Bench) -> None:
    for name in ("one", "two"):
        parts.write(f"{name}.conv", f"SESSION-NAME {name}\nPROMPT x [[reply: A]]\n")
    done = sdqctl("run", "one.conv", "two.conv", "--parallel", "2")
    assert done.code == 0, done.err
    assert sessions() == {"one": "completed", "two": "completed"}
    taken = sdqctl("run", "one.conv", "two.conv")
    assert taken.code == 7
    assert sdqctl("run", "one.conv", "two.conv", "--session-name", "x").code == 2


def documents() -> dict[str, str]:
    return {path.name: path.read_text() for path in Path("out").glob("*.md")}


@pytest.mark.parametrize("point", ["document.before", "document.after"])
def test_a_kill_around_the_writing_of_a_file_of_answers_loses_no_file(
    point: str, parts: Bench
) -> None:
    command = ["apply", "each.conv", "--components", "src/*.py", "--output-dir", "out"]
    assert sdqctl(*command, SDQCTL_CRASH_AT=f"{point}:1").code == -signal.SIGKILL
    done = sdqctl(*command)
    assert done.code == 0, done.err
    assert set(documents()) == {"src__a.py.md", "src__b.py.md"}
    assert sessions() == {"each/src/a.py": "completed", "each/src/b.py": "completed"}
    for name in sessions():
        shown = sdqctl("sessions", "show", "--format", "json", "--", name).json
        assert len(shown["turns"]) == 2, "nothing was sent again"


def test_a_folder_that_could_not_be_written_is_tried_again(parts: Bench) -> None:
    command = ["apply", "each.conv", "--components", "src/*.py", "--output-dir", "out"]
    Path("out").write_text("in the way")
    failed = sdqctl(*command)
    assert failed.code == 4
    assert "cannot be written" in failed.err
    Path("out").unlink()
    assert sdqctl(*command).code == 0
    assert set(documents()) == {"src__a.py.md", "src__b.py.md"}


def test_a_file_of_answers_that_is_gone_is_written_again_without_a_run(parts: Bench) -> None:
    command = ["apply", "each.conv", "--components", "src/*.py", "--output-dir", "out"]
    assert sdqctl(*command).code == 0
    before = documents()
    Path("out/src__a.py.md").unlink()
    again = sdqctl(*command)
    assert again.code == 0
    assert [line.split("\t")[1] for line in again.out.splitlines()] == ["skipped", "skipped"]
    assert documents() == before
    assert sdqctl(*command, "--output-dir", "elsewhere").code == 0
    assert len(list(Path("elsewhere").iterdir())) == 2


@pytest.mark.parametrize("point", ["document.before", "document.after"])
def test_a_resume_writes_the_file_that_a_killed_run_owes(point: str, bench: Bench) -> None:
    text = "OUTPUT-FILE answer.md\nPROMPT x [[reply: A]]\n"
    killed = bench.run(text, SDQCTL_CRASH_AT=f"{point}:1")
    assert killed.done.code == -signal.SIGKILL
    assert sessions() == {"s": "interrupted"}
    done = bench.resume("--continue")
    assert (done.done.code, done.prompts) == (0, [])
    assert Path("answer.md").read_text() == "A\n"
    assert sessions() == {"s": "completed"}


def test_a_run_whose_file_cannot_be_written_is_not_completed(bench: Bench) -> None:
    Path("folder").write_text("in the way")
    failed = bench.run("PROMPT x [[reply: A]]\n", "--output", "folder/answer.md")
    assert failed.done.code == 9
    assert sessions() == {"s": "failed"}
    Path("folder").unlink()
    assert bench.resume("--continue").done.code == 0
    assert Path("folder/answer.md").read_text() == "A\n"


def test_a_cut_off_command_is_settled_for_its_component_alone(parts: Bench) -> None:
    kill = "read -r _ _ _ up _ < /proc/$PPID/stat; kill -9 $up; sleep 9"
    once = f"test -e done-once || {{ echo > done-once; {kill}; }}"
    parts.write(
        "each.conv",
        "ALLOW-SHELL true\nMODE implement\n"
        f"RUN echo >> runs; {once}\n"
        "PROMPT do it [[tool: write {{COMPONENT_NAME}}.txt effect]] [[reply: A]]\n",
    )
    command = ["apply", "each.conv", "--components", "src/*.py", "--keep-going"]
    assert sdqctl(*command, "--sandbox", "none").code == -signal.SIGKILL
    stuck = sdqctl(*command)
    assert stuck.code == 4
    assert "1 of 2 failed: src/a.py" in stuck.err
    assert "hint: src/a.py: " in stuck.err
    assert "`--only src/a.py --on-interrupted resend`" in stuck.err
    assert "`--only src/a.py --from 2`" in stuck.err
    assert sessions() == {"each/src/a.py": "failed", "each/src/b.py": "completed"}
    done = sdqctl(*command, "--only", "src/a.py", "--on-interrupted", "resend")
    assert done.code == 0, done.err
    assert [line.split("\t")[:2] for line in done.out.splitlines()] == [["src/a.py", "completed"]]
    assert Path("runs").read_text() == "\n\n\n"
    wrong = sdqctl(*command, "--only", "src/c.py")
    assert wrong.code == 2
    assert "did you mean src/" in wrong.err


@pytest.mark.thorough
@pytest.mark.runtime
def test_thirty_components_share_one_runtime_and_survive_its_death(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "names.txt").write_text("".join(f"part-{n}\n" for n in range(30)))
    (project / "each.conv").write_text(
        "PROMPT {{COMPONENT_NAME}}. [[sleep: 1]] [[reply: A]]\nPROMPT b\n"
    )
    command = ["apply", "each.conv", "--components", "@names.txt", "--parallel", "10"]
    process = Running(
        *command,
        "--format",
        "json",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while len(model.requests) < 15:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert {entry["status"] for entry in json.loads(out)} == {"completed"}
    done = [r.user_messages for r in model.requests if r.prompt == "b"]
    assert len({tuple(messages) for messages in done}) == 30
    assert all(len(messages) == 2 for messages in done)


@pytest.mark.thorough
@pytest.mark.runtime
def test_a_killed_apply_does_only_what_is_not_done(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "names.txt").write_text("".join(f"part-{n}\n" for n in range(8)))
    (project / "each.conv").write_text("PROMPT {{COMPONENT_NAME}}. [[sleep: 0.3]] [[reply: A]]\n")
    command = ["apply", "each.conv", "--components", "@names.txt", "--parallel", "2"]
    process = Running(*command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(model.requests) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = sdqctl(*command, "--format", "json")
    assert done.code == 0, done.err
    counts = Counter(entry["status"] for entry in done.json)
    assert counts["skipped"] + counts["completed"] == 8
    assert counts["skipped"] >= 2
    for entry in done.json:
        name = entry["session"]["name"]
        shown = sdqctl("sessions", "show", "--format", "json", "--", name).json
        assert [turn["response"] for turn in shown["turns"]] == ["A"]


def test_the_prompts_of_one_component_are_shown_beforehand(parts: Bench) -> None:
    parts.write("each.conv", "PROMPT {{SESSION_NAME}} {{COMPONENT_NAME}} {{ITERATION_TOTAL}}\n")
    shown = sdqctl("render", "each.conv", "--component", "src/deep/c.py", "--format", "json").json
    assert [step["prompt"] for step in shown] == ["each/src/deep/c.py c 1"]
    without = sdqctl("render", "each.conv")
    assert "{{COMPONENT_NAME}}" in without.out
    assert sessions() == {}


def test_a_list_of_objects_gives_each_component_its_inputs(bench: Bench) -> None:
    bench.write(
        "each.conv", "INPUT least\nINPUT deep bool = no\nPROMPT {{least}} {{deep}} [[reply: A]]\n"
    )
    items = [{"path": "src/a.py", "least": "low", "deep": True}, {"name": "b", "least": "{{ 1 }}"}]
    bench.write("list.json", json.dumps(items))
    done = sdqctl("apply", "each.conv", "--components", "@list.json")
    assert done.code == 0, done.err
    assert first_prompt("each/src/a.py").startswith("low true")
    assert first_prompt("each/b").startswith("{{ 1 }} false")
    again = sdqctl("apply", "each.conv", "--components", "@list.json")
    assert [line.split("\t")[1] for line in again.out.splitlines()] == ["skipped"] * 2


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ('[{"path": "a", "lest": "x", "least": "y"}]', "component a: there is no input lest"),
        ('[{"path": "a"}]', "component a: values are missing: least (text)"),
        ('[{"least": "x"}]', "entry 1 has no name"),
        ('["a", "a"]', "a stands there twice"),
        ("[5]", "entry 1 is no object and no text"),
        ("{}", "--components @list.json"),
        ("[]", "there is none"),
    ],
)
def test_a_list_with_a_mistake_starts_nothing(items: str, words: str, bench: Bench) -> None:
    bench.write("each.conv", "INPUT least\nPROMPT {{least}}\n")
    bench.write("list.json", items)
    done = sdqctl("apply", "each.conv", "--components", "@list.json")
    assert done.code == 2
    assert words in done.err
    assert sessions() == {}


@pytest.mark.each(3)
@pytest.mark.parametrize(
    "text",
    [
        "FOR x IN [1, 2]\nPROMPT {{x}} [[reply: A]]\nEND\n",
        'IF true\nPROMPT a [[reply: A]]\nSTOP "enough"\nEND\nPROMPT b\nPROMPT c\n',
        "REPEAT MAX 3 UNTIL true\nPROMPT a [[reply: A]]\nEND\nRETURN 1\nPROMPT b\n",
    ],
)
def test_what_unfolded_and_is_done_is_skipped(text: str, bench: Bench) -> None:
    bench.write("each.conv", text)
    bench.write("names.txt", "a\n")
    assert sdqctl("apply", "each.conv", "--components", "@names.txt").code == 0
    again = sdqctl("apply", "each.conv", "--components", "@names.txt")
    assert again.out.split("\t")[1] == "skipped"
    bench.write("each.conv", f"PROMPT new [[reply: N]]\n{text}")
    assert (
        sdqctl("apply", "each.conv", "--components", "@names.txt").out.split("\t")[1] == "completed"
    )

"""What a run and many at once show on a terminal of each size, while they go and at their end."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.cli.screens import SIZES, compare
from tests.command import SDQCTL, sdqctl
from tests.terminal import ENTER, Terminal

HOLD = "sh wait.sh"
"""A command that waits until it is released."""
WAITING = "until test -e ../released; do sleep 0.1; done\n"
ANSWER = """# What is wrong

The function `f` returns **1**,
and it should return *2*: 関数は正しくない,
as I would say in a paragraph that is longer than a narrow screen.

```python
def f():
    return 2
```
"""
STORY = f"""\
SESSION-NAME story
MODE audit
PROMPT Look at src/a.py [[tool: read src/a.py]] [[tool: shell rm src/a.py]] [[reply: {ANSWER}]]
RUN-ON-ERROR continue
RUN grep nothing src/a.py
RUN {HOLD}
PROMPT Thanks [[reply: You are welcome.]]
"""
IN_ORDER = [
    "story.conv: 3 steps",
    "new session story (mock)",
    "  view src/a.py",
    "  denied: shell rm src/a.py: the program rm is not allowed",
    "# What is wrong",
    "[1/3] done in #s",
    "[2/3] run: grep nothing src/a.py",
    "[2/3] done in #s, exit 1; the run goes on",
    "You are welcome.",
    "[3/3] done in #s",
]


@pytest.fixture
def repository(bench: Bench) -> Bench:
    """The project is a repository of git."""
    bench.write("src/a.py", "def f():\n    return 1\n")
    bench.write("wait.sh", WAITING)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True, cwd=bench.project)
    return bench


def shown(terminal: Terminal) -> str:
    """The screen, without the times of tools: whether one is long enough to be said is chance."""
    return re.sub(r"^(  \S.*?)  #s$", r"\1", terminal.golden, flags=re.MULTILINE)


def release(bench: Bench) -> None:
    """Let the commands end that wait."""
    (bench.project.parent / "released").touch()


def takes_a_second(terminal: Terminal, what: str) -> None:
    terminal.wait_until(lambda: re.search(rf"{re.escape(what)}  \d+s", terminal.text) is not None)


@pytest.mark.each(3)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_run_tells_what_happens_and_what_happened(
    columns: int, rows: int, repository: Bench
) -> None:
    path = repository.write("story.conv", STORY)
    with Terminal(["run", path], columns=columns, rows=rows) as terminal:
        takes_a_second(terminal, HOLD)
        compare("run-live", columns, rows, shown(terminal))
        release(repository)
        assert terminal.wait_for_end() == 0
        compare("run", columns, rows, shown(terminal))


def test_colours_have_a_meaning(repository: Bench) -> None:
    path = repository.write("story.conv", STORY.replace(f"RUN {HOLD}\n", ""))
    with Terminal(["run", path], colours=True) as terminal:
        assert terminal.wait_for_end() == 0
        raw = terminal.raw.decode()
    assert "\x1b[1m[1/3] prompt: Look at" in raw
    assert "\x1b[2m  view src/a.py\x1b[0m" in raw
    assert "\x1b[33m  denied: shell rm src/a.py" in raw
    assert re.search(r"\x1b\[33m\[2/3\] done in [\d.]+s, exit 1; the run goes on", raw)
    assert re.search(r"\x1b\[32mrun completed: 3 steps", raw)


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_there_are_none(variable: dict[str, str], repository: Bench) -> None:
    path = repository.write("story.conv", STORY.replace(f"RUN {HOLD}\n", ""))
    with Terminal(["run", path], colours=True, environment=variable) as terminal:
        assert terminal.wait_for_end() == 0
        raw = terminal.raw.decode()
    assert not re.search(r"\x1b\[\d*(;\d+)*m", re.sub(r"\x1b\[[0134]+(;[134])*m", "", raw))
    assert ("\x1b[J" in raw) is ("NO_COLOR" in variable), "a dumb terminal takes no row back"


def test_a_log_is_plain_and_in_order(repository: Bench) -> None:
    path = repository.write("story.conv", STORY.replace(f"RUN {HOLD}\n", ""))
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(SDQCTL)} run {path} 2>&1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\x1b" not in done.stdout
    lines = [re.sub(r"\d+\.\d+s", "#s", line) for line in done.stdout.splitlines()]
    places = [lines.index(line) for line in IN_ORDER]
    assert places == sorted(places)
    assert lines[-3:] == [
        "run completed: 3 steps in #s, 136 tokens, 1 refused (--mode implement allows), "
        "1 command failed",
        "  to allow them: --allow-tool 'shell(rm:*)'",
        "  `sdqctl sessions show story --audit` lists them",
    ]


def test_files_that_changed_are_counted(repository: Bench) -> None:
    repository.write("dirty.txt", "of the user\n")
    (repository.project / "src/a.py").write_text("def f():\n    return 3\n")
    repository.write("src/b.py", "1\n")
    text = """\
SESSION-NAME s
MODE implement
ALLOW-SHELL true
PROMPT go [[tool: write new.txt hello]] [[tool: write src/b.py 22]] [[reply: A]]
RUN git add src/b.py && git -c user.name=a -c user.email=a@b commit -qm second
"""
    done = sdqctl("run", repository.write("w.conv", text))
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1].endswith(" tokens, 2 files changed")


def test_files_that_a_step_changed_before_it_failed_are_counted(bench: Bench) -> None:
    text = "MODE implement\nALLOW-SHELL true\nRUN touch new.txt\nRUN touch b.txt; exit 3\n"
    path = bench.write("w.conv", text)
    done = sdqctl("run", path)
    assert done.code == 4, done.err
    assert ", 1 command failed, 2 files changed" in done.err
    without = sdqctl("run", path, "--no-snapshots")
    assert "changed" not in without.err


@pytest.mark.each(3)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_many_runs_have_a_row_each_while_they_are_at_work(
    columns: int, rows: int, repository: Bench
) -> None:
    for name in "abcdef":
        repository.write(f"parts/of/the/whole/{name}.py", "x\n")
    path = repository.write(
        "each.conv",
        "PROMPT Look at {{COMPONENT_PATH}} [[reply: A]]\n"
        f"RUN test {{{{COMPONENT_NAME}}}} != a\nRUN {HOLD}\nPROMPT b [[reply: B]]\n",
    )
    flags = ["--components", "parts/**/*.py", "--parallel", "2", "--keep-going"]
    with Terminal(["apply", path, *flags], columns=columns, rows=rows) as terminal:
        terminal.wait_for("1 failed, 2 at work, 3 waiting")
        terminal.wait_until(lambda: len(re.findall(rf"{HOLD}  \d+s", terminal.text)) == 2)
        compare("apply-live", columns, rows, shown(terminal))
        release(repository)
        assert terminal.wait_for_end() == 4
        compare("apply", columns, rows, shown(terminal))


@pytest.mark.each(3)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_question_says_what_would_happen_and_why(
    columns: int, rows: int, repository: Bench
) -> None:
    path = repository.write(
        "ask.conv",
        "SESSION-NAME asks\nPROMPT Do it [[tool: write src/a.py x = 1\ny = 2]] "
        "[[tool: shell rm -rf build && echo this is a command that is longer than eighty columns "
        "| tee log.txt]] [[reply: Done.]]\n",
    )
    with Terminal(["run", path, "--ask"], columns=columns, rows=rows) as terminal:
        terminal.wait_for("[N]ever,")
        compare("ask-write", columns, rows, shown(terminal))
        terminal.type(f"y{ENTER}")
        terminal.wait_for("wants to run")
        terminal.wait_until(lambda: terminal.text.endswith("[e]lse what?"))
        compare("ask-shell", columns, rows, shown(terminal))
        terminal.type(f"n{ENTER}")
        assert terminal.wait_for_end() == 0
        compare("asked", columns, rows, shown(terminal))
    assert Path("src/a.py").read_text() == "x = 1\ny = 2"

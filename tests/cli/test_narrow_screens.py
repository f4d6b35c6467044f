"""Markdown, tables and the live line on terminals of every width."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios

import pytest

from sdqctl.cli.runs import markdown
from sdqctl.cli.table import Cell, Column, table_lines
from tests.bench import Bench
from tests.command import TIMEOUT, Running
from tests.terminal import Terminal

ANSWER = """\
first line
second line

- loose item

  ```py
  one = 1

  two = 2
  ```

- tight item
1. numbered

    ~~~
    three
    ~~~

2. again
   and on

````
```
four
````
the end
"""


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")


def without_styles(text: str) -> list[str]:
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]


def test_single_line_breaks_stay(plain: None) -> None:
    assert without_styles(markdown.render("one\ntwo\nthree\n")) == ["one", "two", "three"]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_fence_inside_a_list_is_code_however_it_comes_in(
    size: int, plain: None, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = markdown.MarkdownStream()
    for start in range(0, len(ANSWER), size):
        stream.feed(ANSWER[start : start + size])
    stream.finish()
    lines = without_styles(capsys.readouterr().out)
    assert lines[:2] == ["first line", "second line"]
    assert [line for line in lines if "```" in line or "~~~" in line] == [" ```"]
    for code in ("    one = 1", "    two = 2", "    three", " four"):
        assert code in lines


COLUMNS = (
    Column("NAME", shrinks=True, least=24),
    Column("STATUS"),
    Column("REMOTE", dropped=1),
    Column("RUN", dropped=3),
    Column("CWD", shrinks=True, least=12, dropped=2),
)


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (120, "NAME STATUS REMOTE RUN CWD"),
        (64, "NAME STATUS REMOTE RUN CWD"),
        (60, "NAME STATUS RUN CWD"),
        (50, "NAME STATUS RUN"),
        (38, "NAME STATUS"),
        (20, "NAME STATUS"),
    ],
)
def test_columns_go_before_names_are_cut(width: int, headings: str) -> None:
    cells = ("a-name-of-24-characters.", "completed", "no", "3/5", "~/a/long/way/to/the/project")
    lines = table_lines(COLUMNS, [[Cell(text) for text in cells]], width)
    assert lines[0].split() == headings.split()
    if width >= 38:
        assert "a-name-of-24-characters." in lines[1]
        assert max(map(len, lines)) <= width


def test_what_became_of_components_is_told_apart_by_the_ends_of_their_paths(bench: Bench) -> None:
    bench.write("fix.conv", "PROMPT {{COMPONENT_NAME}}\n")
    folder = "src/a_folder_with_a_name_that_is_rather_long/and_one_in_it"
    for name in ("first", "second"):
        bench.write(f"{folder}/{name}.py", "")
    with Terminal(["apply", "fix.conv", "--components", "src/**/*.py"]) as terminal:
        assert terminal.wait_for_end() == 0
    rows = [line for line in terminal.text.splitlines() if " completed " in line]
    assert [row.split()[0].rpartition("/")[2] for row in rows] == ["first.py", "second.py"]
    assert all(row.startswith("…") and row.endswith(".py") for row in rows)


def test_a_list_at_50_columns_shows_names_whole_and_wraps_nothing(bench: Bench) -> None:
    bench.run("PROMPT x\n", "--session-name", "tools-and-more-of-them")
    with Terminal(["sessions", "list"], columns=50) as terminal:
        assert terminal.wait_for_end() == 0
        rows = terminal.text.splitlines()
    assert rows[0].split() == ["NAME", "STATUS", "AGE", "RUN"]
    assert rows[1].split() == ["tools-and-more-of-them", "completed", "just", "now", "1/1"]


def test_the_live_line_is_whole_on_a_terminal_that_does_not_know_its_size(bench: Bench) -> None:
    bench.write("work.conv", "RUN sleep 2\n")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    run = Running(
        "run",
        "work.conv",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:  # how a terminal says that the last program closed it
            pass
    assert run.wait(TIMEOUT) == 0
    assert re.search(rb"\r\x1b\[J\x1b\[2msleep 2  [12]s", shown), shown

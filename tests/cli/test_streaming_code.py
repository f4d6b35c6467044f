"""Blocks of code on a terminal: each line stands there when it has come."""

from __future__ import annotations

import random
import re

import pytest

from sdqctl.cli.runs import markdown
from sdqctl.cli.runs.markdown import MarkdownStream, render

CODE = '''def f(x):
    """A text

    def for in while
    """
    return [

        x]  # ```


class A:
    "the end"
'''
ANSWER = f"""Here it is:
```python
{CODE}```
And in a shell, with four ticks:

````sh
echo 1
```
echo 2
````
- an item
```
not of the item
```

~~~
  tildes

~~~
the ```inline``` end
"""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    pieces: list[str] = []
    monkeypatch.setattr(markdown, "write_painted", pieces.append)
    monkeypatch.setattr(markdown, "write", pieces.append)
    return pieces


def test_a_line_of_code_is_written_when_it_has_ended(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = MarkdownStream()
    stream.feed("Look:\n```python\n")
    for number in range(60):
        stream.feed(f"line_{number} = ")
        assert f"line_{number} " not in "".join(written)
        stream.feed(f"{number}\n")
        assert "".join(written).rstrip().endswith(f"line_{number} = {number}")


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_pieces_of_any_size_make_the_same_screen(size: int, written: list[str]) -> None:
    stream = MarkdownStream()
    stream.feed(ANSWER)
    stream.finish()
    at_once = "".join(written)
    written.clear()
    chance = random.Random(size)
    text = ANSWER
    while text:
        count = chance.randint(1, size)
        stream.feed(text[:count])
        text = text[count:]
    stream.finish()
    assert "".join(written) == at_once


def test_the_lines_that_stream_are_the_block_as_it_is_rendered_whole(written: list[str]) -> None:
    stream = MarkdownStream()
    for line in f"```python\n{CODE}```\n".splitlines(keepends=True):
        stream.feed(line)
    streamed = without_styles("".join(written))
    assert streamed == without_styles(render(f"```python\n{CODE}```\n"))
    assert streamed.strip().splitlines()[0].strip() == "def f(x):"


def test_blocks_are_apart_by_one_blank_line(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = MarkdownStream()
    stream.feed(ANSWER)
    stream.finish()
    shown = without_styles("".join(written))
    blocks = ["Here it is:", " def f(x):", "And in a shell", " echo 1", " • an item"]
    blocks += [" not of the item", "   tildes", "the inline end"]
    for before in blocks[1:]:
        assert f"\n\n{before}" in shown
        assert f"\n\n\n{before}" not in shown
    assert " echo 1\n ```\n echo 2\n" in shown


def test_a_string_of_many_lines_keeps_its_colour(written: list[str]) -> None:
    stream = MarkdownStream()
    for line in ("```python\n", '"""one\n', "for two\n", '"""\n', "for x in y:\n"):
        stream.feed(line)
    coloured = [piece for piece in written if "for" in piece]
    assert coloured == [" \x1b[33mfor two\x1b[0m\n", " \x1b[94mfor\x1b[0m x \x1b[95min\x1b[0m y:\n"]


def test_code_of_thousands_of_lines_costs_the_same_a_line(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    paint = markdown._CodePainter.last_of

    def measured(painter: markdown._CodePainter, lines: list[str]) -> str:
        sizes.append(len(lines))
        return paint(painter, lines)

    monkeypatch.setattr(markdown._CodePainter, "last_of", measured)
    stream = MarkdownStream()
    stream.feed("```python\n")
    for number in range(400):
        stream.feed(f"line_{number} = 1\n" + ("\n" if number % 50 == 0 else ""))
    assert max(sizes) < 70
    assert without_styles("".join(written)).count("line_") == 400


def without_styles(text: str) -> str:
    return "".join(
        f"{line.rstrip()}\n" for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    )

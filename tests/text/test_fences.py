"""Code blocks are found where a reader of CommonMark finds them."""

from __future__ import annotations

from itertools import product

import pytest
from markdown_it import MarkdownIt

from sdqctl.text.fences import Fence, fenced

LINES = ("a", "```", "~~~", "````", "```sh", "``` a`b", "~~~ a`b", "   ```", "    ```", "``` ")
READER = MarkdownIt("commonmark")


def blocks(text: str) -> list[bool]:
    """Whether each line is of a block, by the other reader."""
    of_blocks = [False] * len(text.split("\n"))
    for token in READER.parse(text):
        if token.type == "fence" and token.map is not None:
            of_blocks[token.map[0] : token.map[1]] = [True] * (token.map[1] - token.map[0])
    return of_blocks


@pytest.mark.parametrize("first", LINES)
def test_blocks_begin_and_end_as_in_markdown(first: str) -> None:
    for rest in product(LINES, repeat=3):
        lines = ["a", first, *rest]
        fence = Fence()
        found = [fence.take(line, number) for number, line in enumerate(lines, 1)]
        assert found == blocks("\n".join(lines)), lines


def test_a_workflow_takes_a_line_of_code_between_backticks_for_the_start_of_a_block() -> None:
    assert not Fence().take("```a```", 1)
    assert Fence(loose=True).take("```a```", 1)


@pytest.mark.parametrize("text", ["plain", "```\nin\n```", "a\n`````\n", "~~~"])
def test_a_text_stays_whole_in_its_fence(text: str) -> None:
    (token,) = (t for t in READER.parse(fenced("label", text)) if t.type == "fence")
    assert token.content == f"{text.rstrip()}\n"

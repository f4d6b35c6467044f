"""Fenced code blocks of markdown: where one opens and closes, and a text put into one."""

from __future__ import annotations

import re

_MARK = r"(`{3,}|~{3,})(.*)"
_LINE = re.compile(rf" {{0,3}}{_MARK}", re.DOTALL)
_LINE_IN_LIST = re.compile(rf"\s*(?:(?:[-*+]|\d{{1,9}}[.)])\s+)*{_MARK}", re.DOTALL)


class Fence:
    """Follows the blocks of a text, line by line.

    In markdown a line of backticks with more of them after it is code within text. In a workflow
    it opens a block (`loose`): the prompts of existing files stay what they were.
    """

    def __init__(self, *, loose: bool = False) -> None:
        self._loose = loose
        self._mark = ""
        self.opened = 0
        """The number of the line that opened the block; 0: no block is open."""

    def take(self, line: str, number: int) -> bool:
        """Take a line in; whether it stands in a block or opens or closes one."""
        if self._mark:
            if closes(line, self._mark):
                self._mark, self.opened = "", 0
            return True
        mark = opening(line, loose=self._loose)
        if mark is not None:
            self._mark, self.opened = mark, number
        return mark is not None


def opening(line: str, *, in_list: bool = False, loose: bool = False) -> str | None:
    """The marks that a line opens a block with; None: it opens none.

    Within a list they may stand at any indent, and right after the mark of an item.
    """
    found = (_LINE_IN_LIST if in_list else _LINE).match(line)
    if found is None or (not loose and found[1][0] == "`" and "`" in found[2]):
        return None
    return str(found[1])


def closes(line: str, mark: str, *, in_list: bool = False) -> bool:
    """Whether a line ends the block that was opened with `mark`; within a list at any indent."""
    found = _LINE.match(line.lstrip() if in_list else line)
    return found is not None and found[1].startswith(mark) and not found[2].strip()


def fenced(label: str, text: str) -> str:
    """A text under a label, in a fence that is longer than any inside."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{label}\n{fence}\n{text.rstrip()}\n{fence}"

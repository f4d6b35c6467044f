"""The text of a body: code fences, trailing comments, the common indent."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})(.*)$")


class Fence:
    """Follows the fenced code blocks of a body, line by line."""

    def __init__(self) -> None:
        self._mark = ""
        self.opened = 0
        """The number of the line that opened the block; 0: no block is open."""

    def take(self, line: str, number: int) -> bool:
        """Take a line in; whether it stands in a block or opens or closes one."""
        mark = _FENCE.match(line)
        inside = bool(self._mark)
        if mark is None:
            return inside
        if not inside:
            self._mark, self.opened = str(mark[1]), number
        elif self._closes(mark):
            self._mark, self.opened = "", 0
        return True

    def _closes(self, mark: re.Match[str]) -> bool:
        same = mark[1][0] == self._mark[0] and len(mark[1]) >= len(self._mark)
        return same and not mark[2].strip()


def body_text(first: str, lines: Sequence[str]) -> str:
    """A body from the text after its directive and the lines under it."""
    kept = _dedent(_without_trailing_comments(first, lines))
    return "\n".join([first, *kept] if first else kept).rstrip()


def _without_trailing_comments(first: str, lines: Sequence[str]) -> list[str]:
    """Drop `# ...` lines that only comments and blank lines follow, up to the body's end."""
    fence = Fence()
    fence.take(first, 1)
    kept = 0
    for number, line in enumerate(lines, start=1):
        fenced = fence.take(line, number)
        comment = line.startswith("#") and not line.startswith("##")
        if fenced or (line.strip() and not comment):
            kept = number
    return list(lines[:kept])


def _dedent(lines: Sequence[str]) -> list[str]:
    """Strip the indent that all lines with text share; the relative one stays."""
    indents = [line[: len(line) - len(line.lstrip())] for line in lines if line.strip()]
    if not indents:
        return list(lines)
    common = min(indents, key=len)
    for indent in indents:
        while not indent.startswith(common):
            common = common[:-1]
    return [line[len(common) :] if line.startswith(common) else "" for line in lines]

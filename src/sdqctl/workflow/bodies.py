"""The text of a body: without trailing comments and the common indent."""

from __future__ import annotations

from collections.abc import Sequence

from sdqctl.text.fences import Fence


def body_text(first: str, lines: Sequence[str]) -> str:
    """A body from the text after its directive and the lines under it."""
    kept = _dedent(_without_trailing_comments(first, lines))
    return "\n".join([first, *kept] if first else kept).rstrip()


def _without_trailing_comments(first: str, lines: Sequence[str]) -> list[str]:
    """Drop `# ...` lines that only comments and blank lines follow, up to the body's end."""
    fence = Fence(loose=True)
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

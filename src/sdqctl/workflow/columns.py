"""In which column a directive stands: that of its block, and none is taken for one elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPENERS = frozenset({"IF", "REPEAT", "FOR", "ON-FAILURE", "ON-SUCCESS"})
_TEXT = r"[\"']"
_TYPES = "text|int|number|bool|json|file|choice"
_SHAPES = {
    "INPUT": re.compile(rf"[a-z]\w*(?:\s+(?:{_TEXT}|=|(?:{_TYPES})\b)|\s*\Z)"),
    "CAPTURE": re.compile(r"[a-z]\w*\s*(?:\Z|AS\s|SCHEMA\s)"),
    "FOR": re.compile(r"[a-z]\w*\s+IN\s"),
    "REPEAT": re.compile(r"(?:MAX\s+\d|UNTIL\s)"),
    "STOP": re.compile(r"([\"']).*\1\s*\Z"),
    "FAIL": re.compile(r"([\"']).*\1\s*\Z"),
    "ASK": re.compile(rf"[a-z]\w*\s+{_TEXT}"),
    "CALL": re.compile(r"@?\S+\.conv(?:\s*\Z|\s+(?:WITH|AS|IN)\s)"),
}
"""How the values of directives begin that are in no file without data and flow by chance."""
WORDS = frozenset({*_SHAPES, "IF", "ELSE", "RETURN"})
"""Directives that are also words of plain text; a body without data and flow around it has none."""
_LINE = re.compile(rf"^[ \t]*({'|'.join(_SHAPES)})[ \t]+(.*)$", re.MULTILINE)


def has_flow(text: str) -> bool:
    """Whether a text is meant to have data and flow."""
    return any(_SHAPES[match[1]].match(match[2]) for match in _LINE.finditer(text))


@dataclass
class _Open:
    """A block: the column of what opened it, and of its first directive once that was seen."""

    opener: int
    column: int | None = None


class Columns:
    """Follows the blocks of a text."""

    def __init__(self) -> None:
        self._open: list[_Open] = []

    @property
    def current(self) -> int:
        """How far the directives of the block are indented."""
        found = self._open[-1] if self._open else None
        return 0 if found is None else found.opener if found.column is None else found.column

    @property
    def nested(self) -> bool:
        """Whether a block is open."""
        return bool(self._open)

    def holds(self, name: str, indent: int) -> bool:
        """Whether a directive may stand so far from the left; deeper it is text."""
        if not self._open:
            return indent == 0
        block = self._open[-1]
        if block.column is None:
            return True
        return indent <= block.column

    def take(self, name: str, indent: int) -> str | None:
        """Take a directive in that stands there; what is wrong with its place."""
        if not self._open:
            self._enter(name, indent)
            return None
        block = self._open[-1]
        if name == "END":
            self._open.pop()
            return None if indent == block.opener else _misplaced(name, block.opener)
        if name == "ELSE":
            block.column, wrong = None, indent != block.opener
            return _misplaced(name, block.opener) if wrong else None
        if block.column is None:
            block.column = max(indent, block.opener)
        problem = None if indent == block.column else _misplaced(name, block.column)
        self._enter(name, block.column)
        return problem

    def _enter(self, name: str, indent: int) -> None:
        if name in _OPENERS:
            self._open.append(_Open(indent))


def _misplaced(name: str, column: int) -> str:
    return f"{name} does not stand in column {column + 1}, like its block; is an END missing?"

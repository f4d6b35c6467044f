"""Text on the screen: harmless, never read as markup, wrapped to a width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sdqctl.text.terminal import sanitize

_TAB = "    "
_STYLES: dict[str, Style] = {}


class Line(NamedTuple):
    """One line, and how it is shown: names of Rich's styles."""

    text: str
    style: str = ""


def style_of(name: str) -> Style:
    """A style by its name."""
    if name not in _STYLES:
        _STYLES[name] = Style.parse(name) if name else Style.null()
    return _STYLES[name]


def strip_of(line: Line, width: int) -> Strip:
    """A line as it is drawn, in exactly so many columns."""
    return Strip([Segment(line.text, style_of(line.style))]).adjust_cell_length(
        width, style_of(line.style)
    )


def lines_of(text: str, style: str = "", indent: str = "") -> list[Line]:
    """A text of others as lines."""
    return [Line(indent + line, style) for line in sanitize(text).rstrip("\n").split("\n")]


def wrapped(lines: Iterable[Line], width: int) -> list[Line]:
    """Lines that are no wider, broken between words where they can be."""
    return [Line(part, line.style) for line in lines for part in _parts(line.text, width)]


def _parts(text: str, width: int) -> Iterator[str]:
    text = text.replace("\t", _TAB)
    if width < 1 or (text.isascii() and len(text) <= width) or cell_len(text) <= width:
        yield text
        return
    indent = text[: len(text) - len(text.lstrip(" "))][: width // 2]
    rest = text
    while rest:
        cut = _fitting(rest, width)
        if cut < len(rest):
            blank = rest.rfind(" ", len(indent) + 1, cut + 1)
            cut = blank if blank > 0 else cut
        yield rest[:cut]
        rest = rest[cut:].lstrip(" ")
        rest = indent + rest if rest else ""


def _fitting(text: str, width: int) -> int:
    """How many characters fit, one at least."""
    used = 0
    for place, char in enumerate(text):
        used += 1 if char.isascii() else cell_len(char)
        if used > width:
            return max(place, 1)
    return len(text)


def fitted(text: str, width: int) -> str:
    """A text on one line in exactly so many columns, with an ellipsis where it is cut."""
    used = len(text) if text.isascii() else cell_len(text)
    if used > width:
        text = text[: _fitting(text, width - 1)] + "…" if width > 0 else ""
        used = cell_len(text)
    return text + " " * (width - used)

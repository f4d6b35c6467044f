"""Pictures of the pages: what a terminal shows, drawn by the tests that run what a page says.

`SDQCTL_UPDATE_SCREENS=1` draws them anew.
"""

from __future__ import annotations

import io
import os
import re

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.conftest import ROOT
from tests.terminal import Terminal

IMAGES = ROOT / "docs" / "images"
COLUMNS, ROWS = 80, 24
_FONT = re.compile(r"@font-face \{.*?\}\n?", re.DOTALL)
"""A font that would be fetched."""
_TIMES = re.compile(r"\b\d+(\.\d+)?s\b|\b\d+m\d+s\b")
_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}
_UPDATES = bool(os.environ.get("SDQCTL_UPDATE_SCREENS"))


def compare_picture(name: str, title: str, terminal: Terminal) -> None:
    """Fail where a page's picture is not what the terminal shows; one that is missing is drawn."""
    compare(name, draw(name, title, terminal))


def compare(name: str, drawn: str) -> None:
    """Fail where a page's picture is not what was drawn now; one that is missing is written."""
    file = IMAGES / f"{name}.svg"
    if _UPDATES or not file.exists():
        file.write_text(drawn, "utf-8")
        assert _UPDATES, f"{file} was not there; look at it and run again"
    assert drawn == file.read_text("utf-8"), "SDQCTL_UPDATE_SCREENS=1 draws it anew"


def draw(name: str, title: str, terminal: Terminal) -> str:
    """What a terminal shows, as SVG, with `…` for times, which are chance."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    for row in terminal.cells:
        line = Text.assemble(*((cell.data, _style(cell.fg, bold=cell.bold)) for cell in row))
        line.rstrip()
        for found in reversed([*_TIMES.finditer(line.plain)]):
            line = line[: found.start()] + Text("…") + line[found.end() :]
        console.print(line, no_wrap=True, crop=True, soft_wrap=True)
    return without_font(console.export_svg(title=title, theme=MONOKAI, unique_id=name))


def without_font(drawn: str) -> str:
    """A picture that fetches nothing."""
    return _FONT.sub("", drawn)


def _style(colour: str, *, bold: bool) -> Style:
    """The style of a character: pyte names the sixteen colours nearly as rich does."""
    known = _NAMES.get(colour, colour.replace("bright", "bright_"))
    return Style(color=None if known == "default" else known, bold=bold)

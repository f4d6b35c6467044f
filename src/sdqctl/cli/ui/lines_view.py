"""A text that is scrolled through; only what is seen is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sdqctl.cli.ui.text import Line, strip_of, wrapped


class LinesView(ScrollView, can_focus=True):
    """Shows lines; they wrap at its width."""

    DEFAULT_CSS = "LinesView { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "page_down", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._shown: list[Line] = []

    def show(self, lines: Sequence[Line], *, at_end: bool = False) -> None:
        """Show other lines; nothing is drawn anew where they are the same."""
        if lines == self._lines:
            return
        self._lines = lines
        self._lay_out()
        if at_end:
            self.scroll_end(animate=False, immediate=True)
        self.refresh()

    @property
    def text(self) -> str:
        """What it shows, whole."""
        return "\n".join(line.text for line in self._lines)

    def on_resize(self, event: Resize) -> None:
        """Wrap anew."""
        self._lay_out()
        self.refresh()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        self._shown = wrapped(self._lines, width)
        self.virtual_size = Size(width, len(self._shown))

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        place = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        line = self._shown[place] if place < len(self._shown) else Line("")
        return strip_of(line, width).apply_style(self.rich_style)

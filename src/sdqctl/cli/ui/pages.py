"""A page over the screen: a text to read, such as a whole session or a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from sdqctl.cli.ui.lines_view import LinesView
from sdqctl.cli.ui.text import Line
from sdqctl.text.terminal import one_line


class Page(Screen[None]):
    """Shows lines until Escape or q."""

    DEFAULT_CSS = "Page > Static { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "leave", show=False)]

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        """The title, the lines, and how it is left."""
        yield Static(Text(f" {one_line(self._title)}", style="reverse bold", no_wrap=True))
        yield LinesView()
        yield Static(Text(" ↑↓ PgUp PgDn Home End   Esc back", no_wrap=True))

    def on_mount(self) -> None:
        """Show them."""
        view = self.query_one(LinesView)
        view.show(self._lines)
        view.focus()

    @property
    def text(self) -> str:
        """What is shown, whole."""
        return self.query_one(LinesView).text

    def action_leave(self) -> None:
        """Back to where it was opened."""
        self.dismiss(None)

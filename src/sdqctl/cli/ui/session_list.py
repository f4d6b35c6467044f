"""The list of sessions in its groups. Only the rows that are seen are drawn, and of those only what
is no more as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sdqctl.cli.ui.text import fitted, style_of
from sdqctl.model.session import SessionRef, SessionStatus
from sdqctl.sessions.board import Group, Item
from sdqctl.text.terminal import one_line

_SIGNS = {
    SessionStatus.RUNNING: ("●", "blue"),
    SessionStatus.PAUSED: ("‖", "yellow"),
    SessionStatus.FAILED: ("✗", "red"),
    SessionStatus.INTERRUPTED: ("~", "yellow"),
    SessionStatus.COMPLETED: ("✓", "green"),
    SessionStatus.IDLE: ("·", "dim"),
}
_STATUS, _STEPS, _AGE = 12, 8, 9
"""Columns."""
_LONGEST = 100
Row = Item | Group


class SessionList(ScrollView, can_focus=True):
    """Sessions to choose from."""

    DEFAULT_CSS = "SessionList { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
    ]

    class Chosen(Message):
        """Another session is under the cursor, or none."""

    class Opened(Message):
        """The session under the cursor is to be opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._counts: dict[Group, int] = {}
        self._cursor = 0

    @property
    def item(self) -> Item | None:
        """The session under the cursor."""
        row = self._rows[self._cursor] if self._cursor < len(self._rows) else None
        return row if isinstance(row, Item) else None

    def show(self, items: Sequence[Item]) -> None:
        """Show these sessions, in their order; the cursor stays on its session."""
        before, old = self.item, self._rows
        self._rows, self._counts = _with_headings(items)
        self._cursor = self._place_of(before.entry.ref if before else None)
        self.virtual_size = Size(self.size.width, len(self._rows))
        self._draw_changed(old)
        if self.item is not before:
            self.post_message(self.Chosen())

    def _place_of(self, ref: SessionRef | None) -> int:
        """Where a session is now; else a session near where the cursor was."""
        if ref is not None:
            for place, row in enumerate(self._rows):
                if isinstance(row, Item) and row.entry.ref == ref:
                    return place
        return self._nearest(min(self._cursor, len(self._rows) - 1), 1)

    def _nearest(self, place: int, step: int) -> int:
        """A row that is a session, at a place or on from there."""
        place = max(0, min(place, len(self._rows) - 1))
        for way in (step, -step):
            at = place
            while 0 <= at < len(self._rows):
                if isinstance(self._rows[at], Item):
                    return at
                at += way
        return 0

    def _draw_changed(self, old: list[Row]) -> None:
        if len(old) != len(self._rows):
            self.refresh()
            return
        top, height = self.scroll_offset.y, self.size.height
        for y in range(top, min(top + height, len(old))):
            row = self._rows[y]
            if row is not old[y] or isinstance(row, Group):
                self._draw(y)

    def _draw(self, place: int) -> None:
        """Draw one row anew."""
        y = place - self.scroll_offset.y
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def action_move(self, by: int) -> None:
        """Go up or down, past headings."""
        self._go(self._nearest(self._cursor + by, 1 if by > 0 else -1))

    def action_page(self, by: int) -> None:
        """Go a screen up or down."""
        self.action_move(by * max(1, self.size.height - 1))

    def _go(self, place: int) -> None:
        if place == self._cursor or not self._rows:
            return
        before, self._cursor = self._cursor, place
        top = 0 if place <= 1 else place  # the heading above the first one is seen
        self.scroll_to_region(
            Region(0, top, self.size.width, place - top + 1), animate=False, immediate=True
        )
        self._draw(before)
        self._draw(place)
        self.post_message(self.Chosen())

    def on_click(self, event: Click) -> None:
        """A click chooses, a second one opens."""
        place = event.y + self.scroll_offset.y
        if place < len(self._rows) and isinstance(self._rows[place], Item):
            if place == self._cursor:
                self.post_message(self.Opened())
            self._go(place)

    def on_resize(self, event: Resize) -> None:
        """Lay the columns out anew."""
        self.virtual_size = Size(self.size.width, len(self._rows))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        place = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[place]
        if isinstance(row, Group):
            text = fitted(f"{row.upper()} {self._counts[row]}", width)
            return Strip([Segment(text, style_of("bold"))]).apply_style(self.rich_style)
        segments = _segments(row, width)
        strip = Strip(segments).adjust_cell_length(width)
        if place == self._cursor:
            strip = strip.apply_style(style_of("reverse bold" if self.has_focus else "reverse"))
        return strip.apply_style(self.rich_style)


def _with_headings(items: Sequence[Item]) -> tuple[list[Row], dict[Group, int]]:
    rows: list[Row] = []
    counts: dict[Group, int] = {}
    group = None
    for item in items:
        if item.group is not group:
            group = item.group
            rows.append(group)
        counts[item.group] = counts.get(item.group, 0) + 1
        rows.append(item)
    return rows, counts


def _segments(item: Item, width: int) -> list[Segment]:
    """A row: how the session stands, its name and what it says, then how far it is and its age."""
    entry = item.entry
    sign, colour = _SIGNS[entry.status]
    if item.question is not None:
        sign, colour = "?", "yellow"
    right = [(fitted(status_word(item), _STATUS), colour)]
    if width >= 52:
        right.append((f"{_steps(item):>{_STEPS}} ", "dim"))
    if width >= 64:
        right.append((f"{age(item):>{_AGE}} ", "dim"))
    room = max(width - 2 - sum(len(text) for text, _ in right), 8)
    parts = [(f"{sign} ", colour), *_named(item, room), *right]
    return [Segment(text, style_of(style)) for text, style in parts]


def _named(item: Item, room: int) -> list[tuple[str, str]]:
    """The name, and where there is room what it waits for or was about."""
    more = f" +{item.entry.children}" if item.entry.children else ""
    name = one_line(item.entry.info.label, _LONGEST) + more + ("*" if item.entry.kept else "")
    left = room - cell_len(name) - 3
    if left < 12 or not (says := said(item)):
        return [(fitted(name, room - 1) + " ", "")]
    return [(f"{name}  ", ""), (fitted(says, left) + " ", "dim")]


def said(item: Item) -> str:
    """What a session waits for, or why it stopped, in a line."""
    if item.question is not None:
        request = item.question.request
        return one_line(f"{request.kind}: {request.target}", _LONGEST)
    run = item.entry.run
    return one_line(run.message or "", _LONGEST) if run is not None else ""


def status_word(item: Item) -> str:
    """How it stands, in a word."""
    return "asks you" if item.question is not None else item.entry.status.value


def _steps(item: Item) -> str:
    run = item.entry.run
    return f"{run.steps_done}/{run.steps_total}" if run is not None else ""


def age(item: Item) -> str:
    """How long ago it changed: `now`, `5m`, `2h`, `3d`, `4w`."""
    moment = item.entry.modified
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size * (2 if unit == "w" else 1):
            return f"{int(seconds // size)}{unit}"
    return "now"

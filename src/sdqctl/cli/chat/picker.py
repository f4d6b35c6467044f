"""Choosing a session on a terminal: a list that gets shorter with what is typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import HSplit, Layout, UIContent, UIControl, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.processors import BeforeInput

from sdqctl.cli.table import STATUS_COLOURS, age, short_path
from sdqctl.sessions.recent import Recent, in_project
from sdqctl.text.terminal import display_width, one_line

if TYPE_CHECKING:
    from sdqctl.sessions.access import Access
    from sdqctl.sessions.query import Entry

_ESCAPE_SECONDS = 0.05
"""How long a key that begins with Escape may take to arrive as a whole."""
_WIDE = 72
"""From so many columns on the folder stands in the first of the two lines."""
_LINES = 2
"""Of each session."""
_COLOURS = {"blue": "ansiblue", "green": "ansigreen", "red": "ansired", "yellow": "ansiyellow"}
_DIM = "ansibrightblack"
_KEYS = "Up, Down: choose · Enter: go on in it · Tab: this project alone · Esc: leave"
_KEYS_NARROW = "Enter: go on · Tab: this project · Esc: leave"


def pick_session(access: Access, entries: list[Entry], here: Path) -> Entry | None:
    """Let the user choose one of the sessions; None when they leave without.

    `here` is the folder whose project the list can be narrowed to.
    """
    return Picker(access, entries, here).run()


class Picker:
    """The screen: a line that is typed into, the sessions that match, what the keys do."""

    def __init__(self, access: Access, entries: list[Entry], here: Path) -> None:
        self._every = len(entries)
        self._here = {entry.ref for entry in in_project(entries, here)}
        self._only_here = False
        self._shown: list[Entry] = []
        self._chosen = 0
        self._list = _List(self)
        self._typed = Buffer(multiline=False, on_text_changed=lambda _: self._look_again())
        self._application: Application[Entry | None] = Application(
            layout=self._layout(), key_bindings=self._keys(), full_screen=True
        )
        self._application.ttimeoutlen = _ESCAPE_SECONDS
        self.recent = Recent(access, entries, self._application.invalidate)

    def run(self) -> Entry | None:
        """Show it until something is chosen."""
        with self.recent:
            return self._application.run(pre_run=self._refresh)

    @property
    def shown(self) -> list[Entry]:
        """The sessions that match, as far as they are known by now; the chosen one stays it."""
        self._refresh()
        return self._shown

    @property
    def chosen(self) -> int:
        """The place of the chosen one among them."""
        return self._chosen

    def _refresh(self) -> None:
        before = self._shown[self._chosen].ref if self._shown else None
        found = self.recent.found(self._typed.text)
        if self._only_here:
            found = [entry for entry in found if entry.ref in self._here]
        self._shown = found
        places = (place for place, entry in enumerate(found) if entry.ref == before)
        self._chosen = next(places, min(self._chosen, max(0, len(found) - 1)))

    def _look_again(self) -> None:
        """What is typed has changed: the first that matches is chosen."""
        self._shown, self._chosen = [], 0

    def _move(self, by: int) -> None:
        self._chosen = max(0, min(self._chosen + by, len(self._shown) - 1))

    def _head(self) -> StyleAndTextTuples:
        count = f"{len(self.shown):,} of {self._every:,}"
        if self.recent.problem is not None:
            state = " · their text cannot be searched"
        else:
            state = " · searching their text" if self.recent.is_searching() else ""
        place = " of this project" if self._only_here else ""
        return [("bold", "Go on in which session?"), (_DIM, f"  {count}{place}{state}")]

    def _foot(self) -> StyleAndTextTuples:
        columns = self._application.output.get_size().columns
        keys = _KEYS if columns > len(_KEYS) else _KEYS_NARROW
        return [(_DIM, one_line(keys, columns))]

    def _layout(self) -> Layout:
        typing = BufferControl(self._typed, input_processors=[BeforeInput("> ")])
        return Layout(
            HSplit(
                [
                    Window(FormattedTextControl(self._head), height=1),
                    Window(typing, height=1),
                    Window(self._list, always_hide_cursor=True),
                    Window(FormattedTextControl(self._foot), height=1),
                ]
            ),
            focused_element=typing,
        )

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            if self._shown:
                event.app.exit(result=self._shown[self._chosen])

        @keys.add("escape", eager=True)
        @keys.add("c-c")
        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            event.app.exit(result=None)

        @keys.add("tab")
        def _(event: KeyPressEvent) -> None:
            self._only_here = not self._only_here

        moves = {"up": -1, "c-p": -1, "down": 1, "c-n": 1}
        for key, by in moves.items():
            keys.add(key)(lambda event, by=by: self._move(by))
        for key, sign in {"pageup": -1, "pagedown": 1}.items():
            keys.add(key)(lambda event, sign=sign: self._move(sign * self._list.room))
        return keys


class _List(UIControl):
    """The rows of the list, for whatever room there is."""

    def __init__(self, picker: Picker) -> None:
        self._picker = picker
        self._first = 0
        self.room = 1
        """How many sessions fit."""

    def create_content(self, width: int, height: int) -> UIContent:
        """The lines that fit, with the chosen session among them."""
        shown, chosen = self._picker.shown, self._picker.chosen
        self.room = max(1, height // _LINES)
        self._first = max(chosen - self.room + 1, min(self._first, chosen))
        self._first = max(0, min(self._first, len(shown) - self.room))
        seen = shown[self._first : self._first + self.room]
        lines: list[StyleAndTextTuples] = []
        for place, entry in enumerate(seen, self._first):
            lines += self._lines(entry, width, _name_width(seen, width), place == chosen)
        if not lines:
            lines = [[(_DIM, "  nothing matches")]]
        return UIContent(lambda number: lines[number], line_count=len(lines), show_cursor=False)

    def _lines(
        self, entry: Entry, width: int, name_width: int, chosen: bool
    ) -> list[StyleAndTextTuples]:
        colour = _COLOURS.get(STATUS_COLOURS[entry.status], _DIM)
        cells = [(_state(entry, width), colour), (age(entry.modified), "")]
        sizes = [_STATE_WIDE if width >= _WIDE else _STATE_NARROW, 8]
        name = _padded(entry.info.label, name_width)
        first: StyleAndTextTuples = [
            ("", "❯ " if chosen else "  "),
            ("reverse bold" if chosen else "bold", name),
        ]
        for (text, style), size in zip(cells, sizes, strict=True):
            first.append((style, f"  {_padded(text, size)}"))
        folder, prompt = short_path(entry.info.cwd), self._prompt(entry)
        if width >= _WIDE:
            used = 2 + name_width + sum(size + 2 for size in sizes) + 2
            first.append((_DIM, f"  {one_line(folder, width - used)}"))
        else:
            prompt = f"{Path(folder).name} · {prompt}"
        return [first, [(_DIM, f"    {one_line(prompt, width - 4)}")]]

    def _prompt(self, entry: Entry) -> str:
        prompt = self._picker.recent.first_prompt(entry)
        return "…" if prompt is None else prompt or "(nothing was said yet)"


_STATE_WIDE, _STATE_NARROW = 17, 11


def _state(entry: Entry, width: int) -> str:
    run = entry.run
    if width < _WIDE or run is None or not run.status.unfinished:
        return entry.status.value
    return f"{entry.status} {run.steps_done}/{run.steps_total}"


def _name_width(entries: list[Entry], width: int) -> int:
    """As wide as the names that are seen, but for the room that the rest needs."""
    rest = 2 + (_STATE_WIDE if width >= _WIDE else _STATE_NARROW) + 2 + 8 + 2
    rest += width // 4 if width >= _WIDE else 0
    widest = max((display_width(one_line(entry.info.label)) for entry in entries), default=0)
    return max(8, min(widest, width - rest))


def _padded(text: str, width: int) -> str:
    line = one_line(text, width)
    return line + " " * (width - display_width(line))

"""The program of `sdqctl ui`: the list of sessions, what is said in the one under the cursor, and
the keys. What a key does is in `run_keys` and `session_keys`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from sdqctl.cli.ui.keys import KEYS, applying
from sdqctl.cli.ui.lines_view import LinesView
from sdqctl.cli.ui.readers import BoardReader, PreviewReader, Store, StoreReader
from sdqctl.cli.ui.run_keys import RunKeys
from sdqctl.cli.ui.session_keys import SessionKeys
from sdqctl.cli.ui.session_list import SessionList
from sdqctl.cli.ui.text import Line
from sdqctl.cli.ui.view import View
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.board import Item
from sdqctl.text.terminal import one_line

_SAID = 6.0
"""Seconds that something said stays."""
_WIDE = 100
"""Columns from which on list and preview stand side by side."""


class SessionsApp(RunKeys, SessionKeys):
    """All sessions on one screen."""

    TITLE = "sdqctl"
    CSS = """
    #main { layout: vertical; height: 1fr; }
    #sessions { height: 3fr; }
    #preview { height: 2fr; border-top: solid $panel; padding: 0 1; }
    .wide #main { layout: horizontal; }
    .wide #sessions { height: 1fr; width: 3fr; }
    .wide #preview { height: 1fr; width: 2fr; border-top: none; border-left: solid $panel; }
    #search { display: none; height: 1; border: none; padding: 0; }
    #search.shown { display: block; }
    #state { height: 1; }
    #keys { height: auto; max-height: 2; color: $text-muted; }
    ToastRack { dock: top; align: right top; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key.key, key.action, key.label, show=False) for key in KEYS),
        Binding("escape", "clear", show=False),
        Binding("tab", "preview", show=False),
    ]

    class BoardRead(Message):
        """The board was read, or what changed of it."""

        def __init__(self, items: list[Item], spent: tuple[int, float]) -> None:
            super().__init__()
            self.items = items
            self.spent = spent

    class PreviewRead(Message):
        """What is shown of a session was read."""

        def __init__(self, ref: SessionRef, lines: Sequence[Line], streams: bool) -> None:
            super().__init__()
            self.ref = ref
            self.lines = lines
            self.streams = streams

    class Failed(Message):
        """Something could not be read."""

        def __init__(self, message: str) -> None:
            super().__init__()
            self.message = message

    class Found(Message):
        """More was found of what is searched for."""

    def __init__(self, access: Access, *, here: bool = False, store: Store | None = None) -> None:
        """`here`: begin with the sessions of this project alone. `store`: what machines share."""
        super().__init__()
        self.access = access
        self.view = View(access, lambda: self.post_message(self.Found()))
        self.view.here = here
        self._spent = (0, 0.0)
        self._said = ""
        self._board = BoardReader(
            access,
            lambda items, spent: self.post_message(self.BoardRead(items, spent)),
            self._failed,
        )
        self.store = store
        self._stored: StoreReader | None = None
        if store is not None:
            self._stored = StoreReader(store, self._board.put_elsewhere, self._failed)
        self._preview = PreviewReader(access, self._previewed)
        self._shown: SessionRef | None = None

    # -- what is on the screen ------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The parts."""
        yield Input(id="search", placeholder="search names and all that was said", compact=True)
        with Container(id="main"):
            yield SessionList(id="sessions")
            yield LinesView(id="preview")
        yield Static(id="state", markup=False)
        yield Static(id="keys", markup=False)

    @property
    def sessions(self) -> SessionList:
        """The list."""
        return self.screen_stack[0].query_one(SessionList)

    @property
    def item(self) -> Item | None:
        """The session under the cursor."""
        return self.sessions.item

    @property
    def _has_ended(self) -> bool:
        """Whether nothing is shown any more, while messages still come: what the screen holds goes
        before it does.
        """
        return not self.screen_stack or not self.screen_stack[0].query(SessionList)

    def on_mount(self) -> None:
        """Begin to read."""
        self.sessions.focus()
        self._state("reading …")
        self._board.start()
        self._preview.start()
        if self._stored is not None:
            self._stored.start()

    def on_unmount(self) -> None:
        """End the threads."""
        if self._stored is not None:
            self._stored.close()
        self._board.close()
        self._preview.close()
        self.view.close()

    def on_resize(self, event: events.Resize) -> None:
        """Where there is room, side by side."""
        if self._has_ended:
            return
        self.screen_stack[0].set_class(event.size.width >= _WIDE, "wide")
        self._show_keys(event.size.width)

    def on_sessions_app_board_read(self, event: BoardRead) -> None:
        """Show what changed."""
        if self._has_ended:
            return
        self._spent = event.spent
        self.view.items = event.items
        self._show()

    def on_sessions_app_found(self) -> None:
        """Show what was found meanwhile."""
        if not self._has_ended:
            self._show()

    def on_sessions_app_failed(self, event: Failed) -> None:
        """Say what cannot be read."""
        if self._has_ended:
            return
        self.notify(one_line(event.message), severity="error", markup=False)

    def on_sessions_app_preview_read(self, event: PreviewRead) -> None:
        """Show what is said, if it is still wanted."""
        item = None if self._has_ended else self.item
        if item is not None and item.entry.ref == event.ref:
            same = self._shown == event.ref
            self._shown = event.ref
            view = self.screen_stack[0].query_one("#preview", LinesView)
            view.show(event.lines, at_end=event.streams)
            if not same and not event.streams:
                view.scroll_home(animate=False, immediate=True)

    def on_session_list_chosen(self) -> None:
        """Another session is under the cursor."""
        if self._has_ended:
            return
        self._preview.want(self.item)
        self._show_keys(self.size.width)
        if self.item is None:
            self.screen_stack[0].query_one("#preview", LinesView).show(())

    def on_session_list_opened(self) -> None:
        """A click opens it."""
        if not self._has_ended:
            self.run_key("open")

    def _failed(self, message: str) -> None:
        self.post_message(self.Failed(message))

    def _previewed(self, ref: SessionRef, lines: Sequence[Line], streams: bool) -> None:
        self.post_message(self.PreviewRead(ref, lines, streams))

    def _show(self) -> None:
        before = self.item
        self.sessions.show(self.view.shown())
        after = self.item
        if after is not None and before is not None and after is not before:
            self._preview.want(after)
        self._state(f" {self._said}" if self._said else self.view.describe(*self._spent))
        self._show_keys(self.size.width)

    def _state(self, text: str) -> None:
        with suppress(NoMatches, IndexError):  # before it is there, after it was left
            self.screen_stack[0].query_one("#state", Static).update(
                Text(one_line(text), style="reverse", no_wrap=True, overflow="ellipsis")
            )

    def say(self, text: str) -> None:
        """Say something below the list, until something else is to be said."""
        self._said = text
        self._state(f" {text}")
        self.set_timer(_SAID, partial(self._unsay, text))

    def _unsay(self, text: str) -> None:
        if self._said == text:
            self._said = ""
            self._state(self.view.describe(*self._spent))

    def _show_keys(self, width: int) -> None:
        """The keys that can be pressed now, on two lines at most; `?` has them all."""
        if isinstance(self.focused, Input) and self.focused.id == "search":
            typing = Text(" Enter or ↓ to the list   Esc all sessions", no_wrap=True)
            self.screen_stack[0].query_one("#keys", Static).update(typing)
            return
        lines: list[Text] = [Text(no_wrap=True)]
        used = 0
        last = Text.assemble((" ?", "bold"), " all keys")
        for key in applying(self.item):
            if key.action == "help":
                continue
            size = len(key.shown) + len(key.label) + 3
            room = width - (len(last) + 1 if len(lines) == 2 else 0)
            if used + size > room:
                if len(lines) == 2:
                    break
                lines.append(Text(no_wrap=True))
                used = 0
            lines[-1].append(f" {key.shown}", "bold").append(f" {key.label} ")
            used += size
        if used + len(last) > width:
            lines.append(Text(no_wrap=True))
        lines[-1].append(last)
        with suppress(NoMatches, IndexError):  # before it is there, after it was left
            self.screen_stack[0].query_one("#keys", Static).update(Text("\n").join(lines))

    # -- searching and filtering ----------------------------------------------------------------

    def action_search(self) -> None:
        """Type what is searched for."""
        box = self.query_one("#search", Input)
        box.add_class("shown")
        box.focus()
        self.call_after_refresh(self._show_keys, self.size.width)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as it is typed."""
        if event.input.id == "search":
            self.view.typed = event.value
            self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Choose among what was found."""
        if event.input.id == "search":
            self._to_list()

    def on_key(self, event: events.Key) -> None:
        """From the search down into the list."""
        if event.key == "down" and isinstance(self.focused, Input) and self.focused.id == "search":
            self._to_list()

    def _to_list(self) -> None:
        self.sessions.focus()
        self.call_after_refresh(self._show_keys, self.size.width)

    def action_clear(self) -> None:
        """No search any more; then no filter."""
        box = self.query_one("#search", Input)
        if box.has_class("shown"):
            box.value = ""
            box.remove_class("shown")
        else:
            self.view.clear()
        self.sessions.focus()
        self.call_after_refresh(self._show)

    def action_preview(self) -> None:
        """Between the list and what is said."""
        preview = self.query_one("#preview", LinesView)
        (self.sessions if preview.has_focus else preview).focus()

    def action_reread(self) -> None:
        """Read everything anew."""
        self._board.read_anew()
        if self._stored is not None:
            self._stored.read_anew()

    # -- keys -----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key can be pressed now."""
        key = next((key for key in KEYS if key.action == action), None)
        if key is None:
            return True
        if isinstance(self.focused, Input) or len(self.screen_stack) > 1:
            return False
        return key.applies(self.item)

    def run_key(self, action: str) -> None:
        """Do what a key does, if it can be pressed."""
        if self.check_action(action, ()):
            getattr(self, f"action_{action}")()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        for key in applying(self.item):
            yield SystemCommand(
                key.label.capitalize(),
                f"{key.help} ({key.shown})",
                getattr(self, f"action_{key.action}"),
            )

"""Dialogs: a line to type, a choice, a form, a yes or no. Escape leaves each of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sdqctl.cli.ui.text import Line
from sdqctl.text.terminal import one_line

_CSS = """
Dialog { align: center middle; }
Dialog > Vertical {
    width: 90%; max-width: 100; height: auto; max-height: 90%;
    border: round $primary; padding: 0 1; background: $surface;
}
Dialog .about { height: auto; max-height: 50vh; }
Dialog .about Static { height: auto; }
Dialog OptionList, Dialog OptionList:focus {
    height: auto; max-height: 50vh; border: none; padding: 0; margin: 1 0;
}
Dialog Input, Dialog Input:focus {
    border: none; padding: 0; height: 1; margin: 1 0; background: $boost;
}
Dialog .keys { color: $text-muted; height: auto; }
Dialog .label { height: auto; }
"""


def plain(text: str, style: str = "") -> Text:
    """Text of others, which is never markup."""
    return Text(text, style=style)


class _Dialog(ModalScreen[str | None]):
    """The frame of all of them."""

    DEFAULT_CSS = _CSS.replace("Dialog", "_Dialog")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, title: str, about: Sequence[Line] = ()) -> None:
        super().__init__()
        self._title = title
        self._about = about

    def compose(self) -> ComposeResult:
        """The title, what it is about, and what is asked."""
        with Vertical():
            yield Static(plain(one_line(self._title), "bold"), classes="label")
            if self._about:
                with VerticalScroll(classes="about", can_focus=False):
                    for line in self._about:
                        yield Static(plain(line.text, line.style))
            yield from self.asked()

    @abstractmethod
    def asked(self) -> ComposeResult:
        """What is asked."""

    def action_leave(self) -> None:
        """Say nothing."""
        self.dismiss(None)


class AskLine(_Dialog):
    """Asks for a line; an empty one is none."""

    def __init__(
        self, title: str, about: Sequence[Line] = (), *, value: str = "", hint: str = ""
    ) -> None:
        super().__init__(title, about)
        self._value = value
        self._hint = hint

    def asked(self) -> ComposeResult:
        """The line."""
        yield Input(self._value, placeholder=self._hint, select_on_focus=False)
        yield Static("Enter: go on   Esc: leave", classes="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """It is typed."""
        if event.value.strip():
            self.dismiss(event.value.strip())


class Choose(_Dialog):
    """Asks for one of some, by its key if it has one; returns its name."""

    def __init__(
        self, title: str, choices: Sequence[tuple[str, str]], about: Sequence[Line] = ()
    ) -> None:
        """`choices` are names and texts; a name of one character is a key."""
        super().__init__(title, about)
        self._choices = choices

    def asked(self) -> ComposeResult:
        """The list."""
        options = [
            Option(plain(f"{name}  {one_line(text)}" if len(name) == 1 else one_line(text)))
            for name, text in self._choices
        ]
        yield OptionList(*options)
        yield Static("Enter: choose   Esc: leave", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The list hears the keys."""
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """One is chosen."""
        self.dismiss(self._choices[event.option_index][0])

    def key_of(self, key: str | None) -> str | None:
        """The choice of a key."""
        return next((name for name, _ in self._choices if name == key), None)

    def on_key(self, event: object) -> None:
        """A choice by its key."""
        name = self.key_of(getattr(event, "character", None))
        if name is not None:
            event.stop()  # type: ignore[attr-defined]
            self.dismiss(name)


class Form(ModalScreen[dict[str, str] | None]):
    """Asks for several lines."""

    DEFAULT_CSS = _CSS.replace("Dialog", "Form")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, title: str, fields: Sequence[tuple[str, str]]) -> None:
        """`fields` are names, and what each is."""
        super().__init__()
        self._title = title
        self._fields = fields

    def compose(self) -> ComposeResult:
        """The title and the fields."""
        with Vertical():
            yield Static(plain(one_line(self._title), "bold"), classes="label")
            with VerticalScroll(classes="about", can_focus=False):
                for _, what in self._fields:
                    yield Static(plain(one_line(what)), classes="label")
                    yield Input()
            yield Static("Enter: next, at the last: go on   Esc: leave", classes="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field, or end."""
        fields = [*self.query(Input)]
        place = fields.index(event.input)
        if place + 1 < len(fields):
            fields[place + 1].focus()
            return
        names = [name for name, _ in self._fields]
        self.dismiss({name: one.value for name, one in zip(names, fields, strict=True)})

    def action_leave(self) -> None:
        """Say nothing."""
        self.dismiss(None)

"""What all actions of the keys have: asking by dialogs, doing something in a thread, saying how it
went.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from textual.app import App

from sdqctl.cli.ui.dialogs import AskLine, Choose
from sdqctl.cli.ui.text import Line, lines_of
from sdqctl.errors import SdqctlError
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.ui.readers import Store
    from sdqctl.cli.ui.view import View
    from sdqctl.sessions.access import Access
    from sdqctl.sessions.board import Item
    from sdqctl.sessions.detail import SessionDetail
    from sdqctl.sessions.query import Entry

_Result = TypeVar("_Result")
_SURE = (("y", "yes"), ("n", "no"))


class Asking(App[None]):
    """A screen that asks."""

    access: Access
    view: View
    store: Store | None

    @property
    @abstractmethod
    def item(self) -> Item | None:
        """The session under the cursor."""

    @abstractmethod
    def action_reread(self) -> None:
        """Read everything anew."""

    @abstractmethod
    def _show(self) -> None:
        """Show what is known now."""

    async def in_thread(self, what: Callable[[], _Result]) -> _Result | None:
        """Do something that may take its time; None when it failed, which is said."""
        try:
            return await asyncio.to_thread(what)
        except SdqctlError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            self.tell(f"{error.message}{hint}", severity="error")
        except OSError as error:
            self.tell(str(error), severity="error")
        return None

    @abstractmethod
    def say(self, text: str) -> None:
        """Say something below the list."""

    def tell(self, text: str, severity: str = "information") -> None:
        """Say how it went; what is wrong stands over the screen for a while."""
        if severity == "information":
            self.say(one_line(text))
            return
        lines = "\n".join(line.text for line in lines_of(text))
        self.notify(lines, severity=severity, timeout=12, markup=False)  # type: ignore[arg-type]

    async def choose(
        self, title: str, choices: Sequence[tuple[str, str]], about: Sequence[Line] = ()
    ) -> str | None:
        """One of these, by its name; None for none."""
        return await self.push_screen_wait(Choose(title, choices, about))

    async def is_sure(self, title: str, about: Sequence[Line] = ()) -> bool:
        """Whether it is to be done."""
        return await self.choose(title, _SURE, about) == "y"

    async def line(self, title: str, about: Sequence[Line] = (), value: str = "") -> str | None:
        """A line that is typed; None for none."""
        return await self.push_screen_wait(AskLine(title, about, value=value))

    async def bring(self, entry: Entry) -> bool:
        """Bring a session here from the shared store; whether it is here now."""

        def bring() -> bool:
            assert self.store is not None, "the session came from there"
            self.store.bring(entry.ref)
            return True

        self.tell(f"fetching {one_line(entry.info.label)} …")
        brought = await self.in_thread(bring)
        self.action_reread()
        return brought is not None

    def detail(self, entry: Entry) -> SessionDetail:
        """A session in full."""
        from sdqctl.sessions.detail import read_detail

        return read_detail(self.access, entry.info.id, entry.info.adapter)

"""The way to the sessions of this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.store.ledger import Ledger

_Result = TypeVar("_Result")


class Access(Protocol):
    """What is needed to do something over sessions; nothing is opened before it is asked for."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables whose values may be secrets."""

    @property
    def home(self) -> Path:
        """The folder of sdqctl's own data."""

    @property
    def directory(self) -> Path:
        """The folder that the command is given in."""

    def agent_folders(self) -> tuple[Path, ...]:
        """The folders in which the agents keep their data."""

    def archive(self, name: str) -> SessionArchive:
        """The sessions of one adapter as they lie on disk."""

    def archives(self, name: str | None = None) -> Mapping[str, SessionArchive]:
        """All archives, or the one named. Raises UsageError for an unknown name."""

    def adapter(self, name: str | None = None) -> Adapter:
        """An adapter that was not started yet."""

    def ledger(self, *, read_only: bool = False) -> Ledger:
        """The open ledger, with secrets kept out of it."""

    def play(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Drive what asks a runtime to its end, or to where it was interrupted."""


def with_adapter(
    access: Access, name: str, work: Callable[[Adapter], Awaitable[_Result]]
) -> _Result:
    """Do something in a runtime that is started for it."""

    async def play() -> _Result:
        async with access.adapter(name) as adapter:
            return await work(adapter)

    return access.play(play())

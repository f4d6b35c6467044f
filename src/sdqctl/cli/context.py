"""What commands are handed."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from sdqctl.engine.setup import Setup
from sdqctl.errors import AdapterBrokenError

_Result = TypeVar("_Result")


class App(Setup):
    """One command's way to the rooms below; nothing is loaded before it is asked for."""

    def report_broken(self, error: AdapterBrokenError) -> None:
        """Say once that an adapter cannot be loaded; the others go on."""
        from sdqctl.cli.output import note

        if error.message not in self.reported:
            self.reported.add(error.message)
            note(f"warning: {error.message}")

    def play(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Drive what asks a runtime to its end, or to a signal, which cancels it cleanly."""
        from sdqctl.cli.signals import interruptible

        return interruptible(work)

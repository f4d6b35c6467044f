"""What commands are handed."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, TypeVar

from sdqctl.engine.setup import Setup
from sdqctl.errors import AdapterBrokenError

if TYPE_CHECKING:
    from sdqctl.store.ledger import Ledger

_Result = TypeVar("_Result")


class App(Setup):
    """One command's way to the rooms below; nothing is loaded before it is asked for."""

    def report_broken(self, error: AdapterBrokenError) -> None:
        """Say once that an adapter cannot be loaded; the others go on."""
        from sdqctl.cli.output import note

        if error.message not in self.reported:
            self.reported.add(error.message)
            note(f"warning: {error.message}")

    def ledger(self, *, read_only: bool = False) -> Ledger:
        """The ledger; what killed commands left is settled before anything is written."""
        ledger = super().ledger(read_only=read_only)
        if not read_only:
            from sdqctl.store.intentions import all_is_settled

            try:
                if not all_is_settled(ledger):
                    from sdqctl.sessions.unsettled import settle_all

                    settle_all(self, ledger)
            except BaseException:
                ledger.close()
                raise
        return ledger

    def play(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Drive what asks a runtime to its end, or to a signal, which cancels it cleanly."""
        from sdqctl.cli.signals import interruptible

        return interruptible(work)

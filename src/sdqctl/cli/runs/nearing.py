"""What is shown of budgets that come near."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdqctl.model.events import BudgetNearing, Event
from sdqctl.text.duration import format_duration

if TYPE_CHECKING:
    from sdqctl.model.views.run import NearingView


class Nearing:
    """Collects the budgets that come near, for the result."""

    def __init__(self) -> None:
        self._events: list[BudgetNearing] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, BudgetNearing):
            self._events.append(event)

    def entries(self) -> list[NearingView]:
        """The part of the result's object."""
        from sdqctl.model.views.run import NearingView

        return [NearingView(budget=e.budget, used=e.used, limit=e.limit) for e in self._events]


def nearing_line(event: BudgetNearing) -> str:
    """A budget that comes near, in a line."""
    used, limit = (_amount(event, number) for number in (event.used, event.limit))
    return f"--{event.budget}: {used} of {limit} are used"


def _amount(event: BudgetNearing, number: float) -> str:
    return format_duration(number) if event.budget == "max-time" else f"{number:.12g}"

"""What a run may use at most: tool calls in a turn, tokens, time. Reaching one stops it cleanly."""

from __future__ import annotations

import time

from sdqctl.errors import BudgetError
from sdqctl.model.events import ToolStarted, TurnEvent, UsageReported
from sdqctl.model.options import RunOptions
from sdqctl.model.session import Usage
from sdqctl.text.duration import format_duration


class _Spent:
    """What a run and all that it calls used together."""

    def __init__(self, used: Usage) -> None:
        self.tokens = used.input_tokens + used.output_tokens
        self.started = time.monotonic()


class Budget:
    """Counts what is used. `used` is what earlier processes used of the same run."""

    def __init__(self, options: RunOptions, used: Usage, spent: _Spent | None = None) -> None:
        self._options = options
        self._spent = spent or _Spent(used)
        self._calls = 0
        self.turn_usage = Usage()

    def shared(self) -> Budget:
        """The same budget for a run that is called: its turns are its own."""
        return Budget(self._options, Usage(), self._spent)

    def begin_turn(self) -> None:
        """Count tool calls from zero again. Raises BudgetError when nothing is left."""
        self._calls, self.turn_usage = 0, Usage()
        self.check()

    def note(self, event: TurnEvent) -> None:
        """Count one event."""
        if isinstance(event, ToolStarted):
            self._calls += 1
        elif isinstance(event, UsageReported):
            self.turn_usage += event.usage
            self._spent.tokens += event.usage.input_tokens + event.usage.output_tokens

    def check(self) -> None:
        """Raise BudgetError when a limit is reached."""
        if reached := self.reached():
            raise BudgetError(f"the budget is used up: {reached}", hint="raise it and go on")

    def reached(self) -> str | None:
        """Which limit is reached, None while there is something left."""
        options = self._options
        if options.max_turn_tool_calls and self._calls > options.max_turn_tool_calls:
            return f"more than {options.max_turn_tool_calls} tool calls (--max-turn-tool-calls)"
        if options.max_tokens and self._spent.tokens >= options.max_tokens:
            return f"{self._spent.tokens} tokens of {options.max_tokens} (--max-tokens)"
        left = self.seconds_left()
        if left is not None and left <= 0:
            return f"{format_duration(options.max_time or 0.0)} (--max-time)"
        return None

    def seconds_left(self) -> float | None:
        """How long this process may go on, None for ever."""
        limit = self._options.max_time
        return self._spent.started + limit - time.monotonic() if limit else None

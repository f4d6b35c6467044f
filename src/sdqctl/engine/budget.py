"""What a run and all that it calls may use at most, in all processes that drive it: tokens, cost,
time, steps; and of one turn alone its tool calls. Reaching a limit stops it cleanly.

Runs that go side by side share what is left. What a turn will use is not known before, so each
reserves as much as the largest one used so far: together they begin only what fits, and the first
of all goes alone. A turn that has no other beside it may begin as long as anything is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from sdqctl.errors import BudgetError
from sdqctl.model.events import (
    BudgetNearing,
    Event,
    ToolStarted,
    TurnEvent,
    UsageReported,
    Warned,
)
from sdqctl.model.options import RunOptions
from sdqctl.model.session import Usage
from sdqctl.text.duration import format_duration

MOST_STEPS = 1000
"""Steps that blocks may unfold to where `--max-steps` says nothing else."""


class _Limit(NamedTuple):
    """One limit of the whole: its option, what was used and what may be, and that in words."""

    name: str
    used: float
    most: float
    words: str

    @property
    def raised(self) -> str:
        """The flag with which as much again may be used."""
        value = self.used + self.most
        text = format_duration(value) if self.name == "max-time" else f"{value:.10g}"
        return f"`--{self.name} {text}`"


class _Spent:
    """What a run and all that it calls used together."""

    def __init__(
        self,
        options: RunOptions,
        emit: Callable[[Event], None],
        used: Iterable[Usage],
        seconds: float,
    ) -> None:
        attempts = list(used)
        self._options = options
        self._emit = emit
        self._usage = sum(attempts, Usage())
        self._largest = Usage()
        self._known = bool(attempts)
        """Whether it was seen what a turn uses."""
        for one in attempts:
            self._note_size(one)
        self._seconds = seconds
        self._started = time.monotonic()
        self._told: set[str] = set()
        self._open: list[Budget] = []
        """Those that reserved what a turn may use."""
        self._change = asyncio.Event()
        self.steps = 0

    @property
    def seconds(self) -> float:
        """How long it was driven, by this process and those before."""
        return self._seconds + time.monotonic() - self._started

    @property
    def most_steps(self) -> int:
        return self._options.max_steps or MOST_STEPS

    def add(self, usage: Usage) -> None:
        self._usage += usage
        self.warn()

    def limits(self) -> Iterator[_Limit]:
        """Those that are given, but for the steps."""
        options, tokens, cost = self._options, _tokens(self._usage), self._usage.cost
        if most := options.max_tokens:
            yield _Limit("max-tokens", tokens, most, f"{tokens} tokens of {most}")
        if price := options.max_cost:
            yield _Limit("max-cost", cost, price, f"a cost of {cost:g} of {price:g}")
        if limit := options.max_time:
            yield _Limit("max-time", self.seconds, limit, format_duration(limit))

    def warn(self) -> None:
        """Report each limit that comes near, once."""
        if not (percent := self._options.warn_at):
            return
        steps = _Limit("max-steps", self.steps, self.most_steps, "")
        for limit in (*self.limits(), steps):
            if limit.name not in self._told and limit.used >= limit.most * percent / 100:
                self._told.add(limit.name)
                self._emit(BudgetNearing(budget=limit.name, used=limit.used, limit=limit.most))

    async def reserve(self, one: Budget) -> None:
        """Keep what a turn may use for one of those that go side by side, once that fits.

        Raises BudgetError when nothing is left.
        """
        while not self._fits(one):
            await self._change.wait()
            one.check()
        if one not in self._open:
            self._open.append(one)

    def release(self, one: Budget, to: Budget | None = None) -> None:
        """Give back what was reserved, or hand it on."""
        if one not in self._open:
            return
        self._open.remove(one)
        if to is not None:
            self._open.append(to)
            return
        if one.turn_usage.model_calls:
            self._learn(one.turn_usage)
        self._change.set()
        self._change = asyncio.Event()

    def _learn(self, turn: Usage) -> None:
        self._known = True
        self._note_size(turn)
        if self._options.max_cost and not self._usage.cost and "no cost" not in self._told:
            self._told.add("no cost")
            what = "the runtime reports no cost: --max-cost cannot stop the run, --max-tokens can"
            self._emit(Warned(message=what))

    def _note_size(self, turn: Usage) -> None:
        largest = self._largest
        self._largest = Usage(
            input_tokens=max(_tokens(largest), _tokens(turn)), cost=max(largest.cost, turn.cost)
        )

    def _fits(self, one: Budget) -> bool:
        others = [other.turn_usage for other in self._open if other is not one]
        options, used, largest = self._options, self._usage, self._largest
        return not others or all(
            not most or (self._known and now + size + sum(max(0, size - s) for s in begun) <= most)
            for most, now, size, begun in (
                (options.max_tokens, _tokens(used), _tokens(largest), map(_tokens, others)),
                (options.max_cost, used.cost, largest.cost, (other.cost for other in others)),
            )
        )


class Budget:
    """Counts what one run uses, and with it those that call it."""

    def __init__(
        self,
        options: RunOptions,
        emit: Callable[[Event], None],
        used: Iterable[Usage] = (),
        seconds: float = 0.0,
        *,
        shares: _Spent | None = None,
    ) -> None:
        """`used` and `seconds` are of earlier processes: what each attempt of the run and of those
        that it calls used, and how long they went.
        """
        self._options = options
        self._spent = shares or _Spent(options, emit, used, seconds)
        self._is_called = shares is not None
        self._calls = 0
        self.turn_usage = Usage()

    def shared(self) -> Budget:
        """The same budget for a run that is called, with what was reserved for it."""
        called = Budget(self._options, lambda _: None, shares=self._spent)
        self._spent.release(self, to=called)
        return called

    async def reserve(self) -> None:
        """Wait until a turn fits beside those that are at work, and keep that for this run.

        Raises BudgetError when nothing is left.
        """
        self.check()
        await self._spent.reserve(self)

    def release(self) -> None:
        """A turn has ended, or none is to come."""
        self._spent.release(self)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn goes on in here. Raises what `begin_turn` raises."""
        await self.begin_turn()
        try:
            yield
        finally:
            self.release()

    async def begin_turn(self) -> None:
        """Count tool calls from zero again. Raises BudgetError when nothing is left."""
        if self.turn_usage.model_calls:
            self.release()
        self._calls, self.turn_usage = 0, Usage()
        await self.reserve()

    def note(self, event: TurnEvent) -> None:
        """Count one event."""
        if isinstance(event, ToolStarted):
            self._calls += 1
        elif isinstance(event, UsageReported):
            self.turn_usage += event.usage
            self._spent.add(event.usage)

    def found(self, usage: Usage) -> None:
        """Count what an earlier process used, as it was found in the journal."""
        self._spent.add(usage)

    def recorded(self, steps: int) -> None:
        """Set to how many steps it unfolded before."""
        self._spent.steps = steps

    def unfold(self, path: str) -> None:
        """Count a step that is met for the first time. Raises BudgetError."""
        if self._is_called or not path.isdecimal():
            self.foresee(path, 1)
            self._spent.steps += 1
            self._spent.warn()

    def foresee(self, path: str, steps: int) -> None:
        """Raise BudgetError where so many more are too many."""
        most = self._spent.most_steps
        if self._spent.steps + steps > most:
            limit = _Limit("max-steps", self._spent.steps + steps, most, "")
            raise BudgetError(
                f"step {path}: the run unfolds to more than {most} steps (--max-steps)",
                hint=f"go on with {limit.raised}",
            )

    def check_time(self) -> None:
        """Raise BudgetError when there is no time left."""
        left = self.seconds_left()
        if left is not None and left <= 0:
            self.check()

    def check(self) -> None:
        """Raise BudgetError when a limit is reached."""
        self._spent.warn()
        if (limit := self._reached()) is not None:
            raise BudgetError(
                f"the budget is used up: {self.reached()}", hint=f"go on with {limit.raised}"
            )

    def reached(self) -> str | None:
        """Which limit is reached, None while there is something left."""
        limit = self._reached()
        return None if limit is None else f"{limit.words} (--{limit.name})"

    def _reached(self) -> _Limit | None:
        most = self._options.max_turn_tool_calls
        if most and self._calls > most:
            words = f"more than {most} tool calls"
            return _Limit("max-turn-tool-calls", self._calls, most, words)
        return next((limit for limit in self._spent.limits() if limit.used >= limit.most), None)

    def seconds_left(self) -> float | None:
        """How long the run may go on, None for ever."""
        limit = self._options.max_time
        return limit - self._spent.seconds if limit else None

    @property
    def begun(self) -> Mapping[str, object]:
        """What the ledger keeps with the run while it goes, of the outermost one."""
        now = datetime.now(UTC).isoformat()
        return {} if self._is_called else {"seconds": self._spent.seconds, "running_since": now}

    @property
    def ended(self) -> Mapping[str, object]:
        """The same when it goes no further."""
        seconds = self._spent.seconds
        return {} if self._is_called else {"seconds": seconds, "running_since": None}


def _tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens

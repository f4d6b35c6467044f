"""A plan unfolds: the lists of its blocks are entered as what is decided says.

Each step, also one that decides, is done by the runner, which does not do again what is settled: a
run that goes on walks the same way, and comes to the first step that is open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, assert_never

from sdqctl.engine.scope import Scope, captured_in, value_of
from sdqctl.errors import StepError
from sdqctl.model.plan import PlannedStep, parts_of
from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.model.workflow import ForStep, IfStep, Nesting, RepeatStep, ReturnStep, StopStep
from sdqctl.workflow.plan import until_step

Together = Callable[
    [PlannedStep, Sequence[PlannedStep], Sequence[Any]], Awaitable[Sequence[StepRecord]]
]
"""Settles the CALLs of a FOR, one for each of its items; returns what is recorded of each."""


class EndedEarly(Exception):  # noqa: N818 - no error: STOP and RETURN complete a run
    """The run is completed where it stands."""


class Unfolding:
    """Walks the steps of one run."""

    def __init__(
        self,
        scope: Scope,
        most_rounds: int | None,
        do: Callable[[PlannedStep], Awaitable[StepRecord]],
        together: Together,
        is_entered: Callable[[str], bool],
    ) -> None:
        """`do` settles one step, or returns what is recorded of a settled one; `together` settles
        the CALLs of a FOR with PARALLEL. `most_rounds` goes before the MAX of each REPEAT, beyond
        which only those rounds are done that have begun: `is_entered` says so by their paths.
        """
        self._scope = scope
        self._do = do
        self._together = together
        self._is_entered = is_entered
        self._most_rounds = most_rounds
        self.steps = 0
        """How many steps the blocks have unfolded to."""

    async def walk(self, steps: Iterable[PlannedStep]) -> None:
        """Do steps in order, and what they unfold to. Raises EndedEarly, and what `do` raises."""
        for step in steps:
            record = await self._do(step)
            self._scope.note(step, record)
            if record.status is not StepStatus.DONE:
                continue
            if isinstance(step.action, Nesting):
                await self._block(step, step.action, record)
            elif isinstance(step.action, StopStep | ReturnStep):
                raise EndedEarly

    async def _block(self, step: PlannedStep, action: Nesting, record: StepRecord) -> None:
        match action:
            case IfStep():
                await self._if(step, record)
            case RepeatStep():
                await self._repeat(step, action)
            case ForStep():
                await self._for(step, action, record)
            case _:
                assert_never(action)

    async def _if(self, step: PlannedStep, record: StepRecord) -> None:
        chosen = value_of(record)
        if chosen is not None:
            await self._enter(step, parts_of(step)[chosen], chosen)

    async def _repeat(self, step: PlannedStep, action: RepeatStep) -> None:
        most, turn = self._most_rounds or action.most, 0
        with self._scope.loop(captured_in(step.lists[0])):
            while turn < most or self._is_entered(f"{step.path}[{turn + 1}]"):
                turn += 1
                with self._scope.round():
                    await self._enter(step, f"[{turn}]")
                    until = until_step(step, turn)
                    if until is not None and value_of(await self._do(self._counted(until))):
                        return
        if action.until is not None:
            raise StepError(
                f"step {step.path}: after {turn} rounds `{action.until}` does not hold",
                hint=f"go on with `--max-rounds {2 * turn}`",
            )

    async def _for(self, step: PlannedStep, action: ForStep, record: StepRecord) -> None:
        if action.parallel is not None:
            await self._side_by_side(step, action, value_of(record))
            return
        with self._scope.loop(captured_in(step.lists[0])):
            for turn, item in enumerate(value_of(record), start=1):
                with self._scope.round(action.name, item):
                    await self._enter(step, f"[{turn}]")

    async def _side_by_side(self, step: PlannedStep, action: ForStep, items: list[Any]) -> None:
        """The rounds of a FOR whose body is one CALL, several at once; in order afterwards."""
        calls = [
            self._counted(next(step.unfolded(f"[{turn}]"))) for turn in range(1, len(items) + 1)
        ]
        with self._scope.loop(captured_in(step.lists[0])):
            records = await self._together(step, calls, items)
            for call, item, record in zip(calls, items, records, strict=True):
                with self._scope.round(action.name, item):
                    self._scope.note(call, record)

    async def _enter(self, step: PlannedStep, part: str, index: int = 0) -> None:
        await self.walk(map(self._counted, step.unfolded(part, index)))

    def _counted(self, step: PlannedStep) -> PlannedStep:
        self.steps += 1
        return step

"""The CALLs of a FOR with PARALLEL: several at once, none of which stops the others."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sdqctl.engine.batch import run_batch
from sdqctl.engine.context import Caller, LiveRun
from sdqctl.engine.scope import Scope
from sdqctl.errors import BudgetError, BusyError, PausedError, SdqctlError, StepError, StoreError
from sdqctl.model.plan import PlannedStep
from sdqctl.model.run import StepRecord
from sdqctl.model.workflow import ForStep
from sdqctl.text.terminal import one_line

Do = Callable[[PlannedStep, Caller], Awaitable[StepRecord]]
_NAMES = ("name", "path", "file", "title", "id")
"""What a record is called by that is an item, the first that it has."""
_LABEL = 40
_STOPS = (BudgetError, StoreError)
"""After these no other item is begun."""
_WAITS = (BusyError, PausedError)


@dataclass(frozen=True)
class _Round:
    """A CALL that is to be done, and for what."""

    step: PlannedStep
    caller: Caller


async def call_together(
    run: LiveRun,
    step: PlannedStep,
    calls: Sequence[tuple[PlannedStep, Any]],
    left: Collection[str],
    do: Do,
) -> None:
    """Do those CALLs of a FOR that are left, by their paths, each with its item, as many at once as
    it says.

    Raises InterruptedRunError after a signal; when all have ended StepError with those that failed,
    else what those raised that wait.
    """
    action = cast("ForStep", step.action)
    run.budget.release()
    rounds = [one for one in _rounds(run, action, calls, len(left)) if one.step.path in left]
    errors: list[tuple[_Round, SdqctlError]] = []

    def ended(one: _Round, done: StepRecord | None, error: SdqctlError | None) -> None:
        if error is not None:
            errors.append((one, error))

    await run_batch(
        rounds,
        lambda one: _within_budget(one, do),
        ended,
        parallel=action.parallel or 1,
        stops=lambda error: isinstance(error, _STOPS),
    )
    if errors:
        raise _whole(step, rounds, errors)


async def _within_budget(one: _Round, do: Do) -> StepRecord:
    """Do a CALL once its first turn fits into what is left beside the others."""
    budget = one.caller.run.budget
    await budget.reserve()
    try:
        return await do(one.step, one.caller)
    finally:
        budget.release()


def _rounds(
    run: LiveRun, action: ForStep, calls: Sequence[tuple[PlannedStep, Any]], total: int
) -> Iterator[_Round]:
    """All rounds; an item is known by its CALL and its content, and its number among its equals."""
    seen: Counter[str] = Counter()
    for step, item in calls:
        text = json.dumps(item, sort_keys=True, ensure_ascii=False)
        seen[text] += 1
        known = f"{hashlib.sha256(f'{step.digest} {text}'.encode()).hexdigest()}.{seen[text]}"
        scope = Scope({**run.scope.values, action.name: item})
        caller = Caller(
            run=replace(run, scope=scope, budget=run.budget.shared()),
            step=step,
            label=_label(item, text),
            item=known,
            total=total,
        )
        yield _Round(step, caller)


def _label(item: Any, text: str) -> str:  # noqa: ANN401 - any JSON
    found = item if isinstance(item, str) else text
    if isinstance(item, dict):
        found = next((item[n] for n in _NAMES if isinstance(item.get(n), str)), text)
    return one_line(found, _LABEL)


def _whole(
    step: PlannedStep, rounds: Sequence[_Round], errors: Sequence[tuple[_Round, SdqctlError]]
) -> SdqctlError:
    """What a FOR ends with: those that failed with their reasons, else a wait."""
    failed = [(one, error) for one, error in errors if not isinstance(error, _WAITS)]
    if not failed:
        return _first_wait(error for _, error in errors)
    if (stops := next((e for _, e in failed if isinstance(e, _STOPS)), None)) is not None:
        return stops
    if len(rounds) == 1:
        return failed[0][1]
    why = "".join(f"\n  {one.caller.label}: {_line(error)}" for one, error in failed)
    return StepError(f"step {step.path}: {len(failed)} of {len(rounds)} items failed:{why}")


def _line(error: SdqctlError) -> str:
    return one_line(error.message.splitlines()[0])


def _first_wait(errors: Iterable[SdqctlError]) -> SdqctlError:
    """The first of several waits; what it shows is shown for all."""
    found = list(errors)
    first = found[0]
    if isinstance(first, PausedError):
        shown = [one.on_shown for one in found if isinstance(one, PausedError)]

        def on_shown() -> None:
            for show in shown:
                if show is not None:
                    show()

        first.message = "\n".join(dict.fromkeys(one.message for one in found))
        first.on_shown = on_shown
    return first

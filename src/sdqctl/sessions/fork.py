"""Where a fork is cut: which turns it keeps, and which steps of the run count as done in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sdqctl.errors import UsageError
from sdqctl.model.run import StepRecord
from sdqctl.model.session import Turn

_TURN = re.compile(r"turn:(\d+)\Z")


@dataclass(frozen=True)
class ForkPoint:
    """`before_event` is the id of the first turn that is left out, None to keep all.

    `kept` are the positions of the steps that count as done, `begun` of those that were cut off and
    are recovered in the fork as they would be in the original.
    """

    before_event: str | None
    kept: frozenset[int]
    begun: frozenset[int] = frozenset()


def find_cut(
    at: str | None, *, turns: Sequence[Turn], steps: Sequence[StepRecord], total: int
) -> ForkPoint:
    """The cut for `--at STEP|CHECKPOINT|turn:N`; it keeps what `at` names and all before it.

    `steps` are those of the workflow's run (none: a plain number is a turn), `total` how many
    steps its plan has. Raises UsageError for a place that is not there, or not done.
    """
    done = [step for step in steps if step.status.settled]
    cut_off = [step for step in steps if not step.status.settled]
    if at is None:
        return ForkPoint(None, _positions(done), _positions(cut_off))
    match = _TURN.match(at)
    if match or (at.isdecimal() and not steps):
        return _after_turn(int(match.group(1) if match else at), turns, done, cut_off)
    return _after_step(_position(at, steps, total), turns, done)


def _position(at: str, steps: Sequence[StepRecord], total: int) -> int:
    if at.isdecimal():
        position = int(at)
    else:
        names = {step.title: step.position for step in steps if step.kind == "checkpoint"}
        if at not in names:
            known = f"; checkpoints: {', '.join(names)}" if names else ""
            raise UsageError(
                f"--at {at}: there is no such checkpoint{known}", hint="or a step, or turn:N"
            )
        position = names[at]
    if position not in {step.position for step in steps if step.status.settled}:
        raise UsageError(f"--at {at}: step {position} of {total} is not done")
    return position


def _after_turn(
    number: int, turns: Sequence[Turn], done: Sequence[StepRecord], cut_off: Sequence[StepRecord]
) -> ForkPoint:
    if not 1 <= number <= len(turns):
        raise UsageError(f"--at turn:{number}: the session has turns 1 to {len(turns)}")
    inside = {turn.message_id for turn in turns[:number]}
    left_out = [s.position for s in done if s.turn_id and s.message_id not in inside]
    first = min(left_out, default=max((s.position for s in done), default=0) + 1)
    return ForkPoint(
        _event_after(number, turns),
        _positions(s for s in done if s.position < first),
        _positions(s for s in cut_off if s.position < first and s.turn_id),
    )


def _after_step(position: int, turns: Sequence[Turn], done: Sequence[StepRecord]) -> ForkPoint:
    kept = [step for step in done if step.position <= position]
    places = {turn.message_id: turn.index for turn in turns}
    known = [places[s.message_id] for s in kept if s.message_id in places]
    later = [places[s.message_id] for s in done if s not in kept and s.message_id in places]
    last = max(known) if known else min(later, default=len(turns) + 1) - 1
    return ForkPoint(_event_after(last, turns), _positions(kept))


def _positions(steps: Iterable[StepRecord]) -> frozenset[int]:
    return frozenset(step.position for step in steps)


def _event_after(number: int, turns: Sequence[Turn]) -> str | None:
    """The event id of the turn behind the first `number` ones."""
    return turns[number].event_id if number < len(turns) else None

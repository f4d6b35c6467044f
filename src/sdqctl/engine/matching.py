"""Which steps of a plan are done already, also when the workflow was edited in between.

A done step is known again by its digest. The common prefix is matched first; in what follows, the
done steps that still stand in the plan in the same order keep their outcome, so that an edit never
repeats a step that did not change. Reasons are in docs/adr/0003-edited-workflows.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sdqctl.model.run import StepRecord
from sdqctl.model.workflow import Plan


@dataclass(frozen=True)
class Match:
    """How recorded steps map to a plan. `moved` is old path -> new path."""

    moved: dict[str, str]
    done: frozenset[str]
    changed: frozenset[str]
    total: int

    @property
    def to_run(self) -> int:
        """How many steps are left, without the changed ones."""
        return self.total - len(self.done) - len(self.changed)

    def describe(self) -> str:
        """`3 done, 1 changed, 2 to run`."""
        counts = [f"{len(self.done)} done"]
        if self.changed:
            counts.append(f"{len(self.changed)} changed")
        return ", ".join([*counts, f"{self.to_run} to run"])


def match_plan(plan: Plan, records: Sequence[StepRecord]) -> Match:
    """Match recorded steps (the last attempt of each step, in order) to a plan."""
    old = [record.digest for record in records]
    new = [step.digest for step in plan.steps]
    pairs = _common_prefix(old, new)
    rest = len(pairs)
    blocks = SequenceMatcher(None, old[rest:], new[rest:], autojunk=False).get_matching_blocks()
    for block in blocks:
        pairs += [(rest + block.a + i, rest + block.b + i) for i in range(block.size)]
    moved = {records[a].path: plan.steps[b].path for a, b in pairs}
    done = frozenset(plan.steps[b].path for a, b in pairs if records[a].status.settled)
    taken = {plan.steps[b].path for _, b in pairs}
    lost = {record.path for record in records if record.path not in moved}
    changed = frozenset(s.path for s in plan.steps if s.path in lost - taken)
    return Match(moved, done, changed, len(plan.steps))


def _common_prefix(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    length = 0
    for a, b in zip(old, new, strict=False):
        if a != b:
            break
        length += 1
    return [(i, i) for i in range(length)]

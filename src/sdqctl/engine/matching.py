"""Which steps of a plan are done already, also when the workflow was edited in between.

A done step is known again by its digest. The common prefix is matched first; in what follows, the
done steps that still stand in the plan in the same order keep their outcome, so that an edit never
repeats a step that did not change. The lists of a block are matched one by one when the step that
decides about them did not change. A FOR that changed keeps its rounds until its list is decided
anew: then they go with their items. Reasons are in docs/adr/0003-edited-workflows.md.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from sdqctl.model.paths import UNTIL, number_of, outer_paths
from sdqctl.model.plan import Plan, PlannedStep, every_step, list_of, parts_of
from sdqctl.model.run import StepRecord
from sdqctl.model.workflow import ForStep, RepeatStep
from sdqctl.workflow.plan import until_step


@dataclass
class Match:
    """How recorded steps map to a plan. `moved` is old path -> new path."""

    moved: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    total: int = 0
    """Of the steps of all lists that were entered."""

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


def match_plan(plan: Plan, records: Sequence[StepRecord], *, decides: bool = True) -> Match:
    """Match recorded steps (the last attempt of each step, in order) to a plan. `decides`: whether
    a FOR that changed is to decide its list anew; else its rounds are those of a step that is gone.
    """
    matching = _Matching(records, decides=decides)
    matching.list(list(plan.steps), "")
    return matching.found


def is_whole(plan: Plan, records: Sequence[StepRecord]) -> bool:
    """Whether a run that these are recorded of has nothing left to do: every step of the lists that
    it entered is done, but for those after a STOP or RETURN.
    """
    match = match_plan(plan, records)
    ends = (match.moved.get(r.path) for r in reversed(records) if r.kind in ("stop", "return"))
    end = next((path for path in ends if path is not None), None)
    lists = [] if end is None else [end, *outer_paths(end)]
    after = sum(len(list_of(plan, path)) - number_of(path) for path in lists)
    return match.total - len(match.done) == after


def shown_steps(steps: Iterable[PlannedStep], match: Match) -> Iterator[PlannedStep]:
    """The steps of a plan as far as they have unfolded; a list that was not entered yet as it
    stands in the file.
    """
    parts: dict[str, dict[str, None]] = defaultdict(dict)
    for path in match.moved.values():
        if outer := path.rpartition(".")[0]:
            _note_part(parts, outer)
    yield from _shown(steps, parts)


def _shown(
    steps: Iterable[PlannedStep], parts: Mapping[str, Mapping[str, None]]
) -> Iterator[PlannedStep]:
    for step in steps:
        yield step
        known = parts_of(step) if step.lists else []
        for part in parts.get(step.path) or known:
            index = known.index(part) if part in known else 0
            yield from _shown(step.unfolded(part, index), parts)


def _note_part(parts: dict[str, dict[str, None]], outer: str) -> None:
    """Note that a list was entered from the step that its path begins with."""
    owner = outer.rpartition("[")[0] if outer.endswith("]") else outer.rpartition(".")[0]
    parts[owner][outer[len(owner) :]] = None


def is_outdated(step: PlannedStep, record: StepRecord) -> bool:
    """Whether the list of a FOR was decided before it was edited."""
    return isinstance(step.action, ForStep) and record.digest != step.digest


def same_rounds(old: Sequence[Any], new: Sequence[Any]) -> dict[int, int]:
    """The rounds of a list that another one has as well, by their items: old number -> new number.

    Equal items are taken in order.
    """
    places: dict[str, deque[int]] = defaultdict(deque)
    for turn, item in enumerate(old, start=1):
        places[_known(item)].append(turn)
    found = {}
    for turn, item in enumerate(new, start=1):
        if equals := places[_known(item)]:
            found[equals.popleft()] = turn
    return found


def _known(item: Any) -> str:  # noqa: ANN401 - any JSON
    return json.dumps(item, sort_keys=True)


class _Matching:
    def __init__(self, records: Iterable[StepRecord], *, decides: bool) -> None:
        self.found = Match()
        self._decides = decides
        self._lists: dict[str, list[StepRecord]] = defaultdict(list)
        """The recorded steps of each list, by the path that it was entered by."""
        self._parts: dict[str, dict[str, None]] = defaultdict(dict)
        """The lists that were entered from a step."""
        for record in records:
            outer, _, _ = record.path.rpartition(".")
            self._lists[outer].append(record)
            if outer:
                _note_part(self._parts, outer)

    def list(self, steps: Sequence[PlannedStep], old: str) -> None:
        """Match the steps of a list to what is recorded of the list at an old path."""
        records = [r for r in self._lists[old] if not r.path.endswith(f".{UNTIL}")]
        pairs = _pairs([record.digest for record in records], [step.digest for step in steps])
        taken = {steps[b].path for _, b in pairs}
        lost = {record.path for record in records} - {records[a].path for a, _ in pairs}
        self.found.total += len(steps)
        self.found.changed |= {step.path for step in steps if step.path in lost - taken}
        for a, b in pairs:
            self._pair(records[a], steps[b])
        if self._decides:
            left = [record for record in records if record.path in lost and record.kind == "for"]
            self._outdated(left, [step for step in steps if step.path not in taken])

    def _outdated(self, records: MutableSequence[StepRecord], steps: Iterable[PlannedStep]) -> None:
        """Give each FOR that changed the rounds of the one that had most of its steps."""
        for step in steps:
            if not isinstance(step.action, ForStep):
                continue
            inside = {inner.digest for inner in every_step(step.lists[0])}
            shared = [len(inside.intersection(self._inside(r.path))) for r in records]
            if any(shared):
                record = records.pop(shared.index(max(shared)))
                self.found.changed.add(step.path)
                self._pair(record, step)

    def _inside(self, path: str) -> Iterator[str]:
        """The digests of what is recorded below a step."""
        for part in self._parts[path]:
            for record in self._lists[path + part]:
                yield record.digest
                yield from self._inside(record.path)

    def _pair(self, record: StepRecord, step: PlannedStep) -> None:
        self.found.moved[record.path] = step.path
        if record.status.settled and not is_outdated(step, record):
            self.found.done.add(step.path)
        if not step.lists:
            return
        known = parts_of(step)
        for part in self._parts[record.path]:
            old = record.path + part
            if part.startswith("["):
                self.list(list(step.unfolded(part)), old)
                self._until(step, int(part[1:-1]), old)
            elif part in known:
                self.list(list(step.unfolded(part, known.index(part))), old)

    def _until(self, step: PlannedStep, turn: int, old: str) -> None:
        """What ended a round is what it was while it asks the same."""
        until = until_step(step, turn) if isinstance(step.action, RepeatStep) else None
        last = self._lists[old][-1] if self._lists[old] else None
        self.found.total += until is not None
        if until is not None and last is not None and last.digest == until.digest:
            self._pair(last, until)


def _pairs(old: Sequence[str], new: Sequence[str]) -> Sequence[tuple[int, int]]:
    pairs = _common_prefix(old, new)
    rest = len(pairs)
    if rest in (len(old), len(new)):
        return pairs
    blocks = SequenceMatcher(None, old[rest:], new[rest:], autojunk=False).get_matching_blocks()
    for block in blocks:
        pairs += [(rest + block.a + i, rest + block.b + i) for i in range(block.size)]
    return pairs


def _common_prefix(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    length = 0
    for a, b in zip(old, new, strict=False):
        if a != b:
            break
        length += 1
    return [(i, i) for i in range(length)]

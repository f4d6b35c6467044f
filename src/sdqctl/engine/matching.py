"""Which steps of a plan are done already, also when the workflow was edited in between.

A done step is known again by its digest. The common prefix is matched first; in what follows, the
done steps that still stand in the plan in the same order keep their outcome, so that an edit never
repeats a step that did not change. The lists of a block are matched one by one, also where the line
changed that decides about them: it decides anew, and its lists stand until it has (`kept_parts`).
Reasons are in docs/adr/0003-edited-workflows.md.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, TypeVar

from sdqctl.engine.scope import value_of
from sdqctl.model.paths import UNTIL, number_of, outer_paths
from sdqctl.model.plan import Plan, PlannedStep, every_step, list_of, parts_of
from sdqctl.model.run import StepRecord
from sdqctl.model.workflow import ForStep, IfStep, Nesting, RepeatStep
from sdqctl.workflow.plan import until_step

_Old = TypeVar("_Old")
_New = TypeVar("_New")


@dataclass
class Match:
    """How recorded steps map to a plan. `moved` is old path -> new path."""

    moved: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)
    """The blocks that decide anew. They are among the changed ones."""
    ahead: set[str] = field(default_factory=set)
    """The lists that come next of blocks that are decided, by the paths they are entered by."""
    empty: set[str] = field(default_factory=set)
    """The blocks of which it is decided that nothing in them is done."""
    lost: list[StepRecord] = field(default_factory=list)
    """What may be half done, of steps that are not in the plan any more."""
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
    a block that changed is to decide anew; else its lists are those of a step that is gone.
    """
    matching = _Matching(records, decides=decides)
    matching.list(list(plan.steps), "")
    found = matching.found
    found.lost = [r for r in records if r.may_be_half_done and r.path not in found.moved]
    return found


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
    entered = (path.rpartition(".")[0] for path in match.moved.values())
    for outer in filter(None, [*entered, *match.ahead]):
        _note_part(parts, outer)
    for path in match.empty:
        parts[path] = {}
    yield from _shown(steps, parts)


def _shown(
    steps: Iterable[PlannedStep], parts: Mapping[str, Mapping[str, None]]
) -> Iterator[PlannedStep]:
    for step in steps:
        yield step
        known = parts_of(step) if step.lists else []
        for part in parts.get(step.path, known):
            index = known.index(part) if part in known else 0
            yield from _shown(step.unfolded(part, index), parts)


def _note_part(parts: dict[str, dict[str, None]], outer: str) -> None:
    """Note that a list was entered from the step that its path begins with."""
    owner = outer.rpartition("[")[0] if outer.endswith("]") else outer.rpartition(".")[0]
    parts[owner][outer[len(owner) :]] = None


def is_outdated(step: PlannedStep, record: StepRecord) -> bool:
    """Whether a block was decided about before its line was edited."""
    return isinstance(step.action, Nesting) and record.digest != step.digest


def kept_parts(step: PlannedStep, before: Any, now: Any) -> dict[str, str]:  # noqa: ANN401
    """Where the lists of an IF or FOR stand by what it decided now, by their parts: rounds go with
    their items, of branches the one stays that is gone into.
    """
    if isinstance(step.action, ForStep):
        return {f"[{old}]": f"[{new}]" for old, new in same_rounds(before, now).items()}
    part = None if now is None else parts_of(step)[now]
    return {} if part is None else {part: part}


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
        places = self._by_content(records, steps, pairs) if self._decides else dict(pairs)
        taken = {steps[b].path for b in places.values()}
        lost = {r.path for a, r in enumerate(records) if a not in places}
        self.found.total += len(steps)
        self.found.changed |= {step.path for step in steps if step.path in lost - taken}
        for a, b in sorted(places.items()):
            if is_outdated(steps[b], records[a]):
                self.found.changed.add(steps[b].path)
                self.found.outdated.add(steps[b].path)
            self._pair(records[a], steps[b])

    def _by_content(
        self,
        records: Sequence[StepRecord],
        steps: Sequence[PlannedStep],
        pairs: Sequence[tuple[int, int]],
    ) -> dict[int, int]:
        """Pairs of which blocks go by what is in them: one whose line changed gets the lists of the
        one that had most of its steps, and so does one that has nothing of its like.
        """
        old = [{(record.kind, d) for d in self._inside(record.path)} for record in records]
        new = [
            {(step.kind, inner.digest) for part in step.lists for inner in every_step(part)}
            for step in steps
        ]
        places = {a: b for a, b in pairs if not old[a] or old[a] & new[b]}
        taken = {*places.values()}
        left = [(a, known) for a, known in enumerate(old) if known and a not in places]
        free = [(b, known) for b, known in enumerate(new) if known and b not in taken]
        places |= _most_alike(left, free)
        taken |= {*places.values()}
        return places | {a: b for a, b in pairs if a not in places and b not in taken}

    def _inside(self, path: str) -> Iterator[str]:
        """The digests of what is recorded below a step."""
        for part in self._parts[path]:
            yield from self._below(path + part)

    def _below(self, outer: str) -> Iterator[str]:
        for record in self._lists[outer]:
            yield record.digest
            yield from self._inside(record.path)

    def _pair(self, record: StepRecord, step: PlannedStep) -> None:
        self.found.moved[record.path] = step.path
        if record.status.settled and not is_outdated(step, record):
            self.found.done.add(step.path)
            self._decided(record, step)
        if isinstance(step.action, IfStep):
            known = parts_of(step)
            for old, part in self._branches(record, step, known):
                self.list(list(step.unfolded(part, known.index(part))), record.path + old)
        elif step.lists:
            self._rounds(record, step)

    def _decided(self, record: StepRecord, step: PlannedStep) -> None:
        """Note what is known of the lists of an IF or FOR before they are entered."""
        if not isinstance(step.action, IfStep | ForStep):
            return
        value = value_of(record)
        if value is None or value == []:
            self.found.empty.add(step.path)
        elif isinstance(step.action, IfStep):
            part = parts_of(step)[value]
            if part not in self._parts[record.path]:
                self.found.ahead.add(step.path + part)
                self.found.total += len(step.lists[value])

    def _branches(
        self, record: StepRecord, step: PlannedStep, known: Sequence[str]
    ) -> Iterable[tuple[str, str]]:
        """The branches of an IF that something is recorded of, with what they are in the plan."""
        parts = self._parts[record.path]
        if not is_outdated(step, record):
            return [(part, part) for part in parts if part in known]
        old = [(part, {*self._below(record.path + part)}) for part in parts]
        new = [
            (part, {inner.digest for inner in every_step(steps)})
            for part, steps in zip(known, step.lists, strict=True)
        ]
        return _most_alike(old, new).items()

    def _rounds(self, record: StepRecord, step: PlannedStep) -> None:
        turns = sorted(int(part[1:-1]) for part in self._parts[record.path] if part[0] == "[")
        for turn in turns:
            old = f"{record.path}[{turn}]"
            self.list(list(step.unfolded(f"[{turn}]")), old)
            self._until(step, turn, old, is_last=turn == turns[-1])
        if turns and self._goes_on(record, step, turns[-1]):
            part = f"[{turns[-1] + 1}]"
            self.found.ahead.add(step.path + part)
            self.found.total += len(step.lists[0])
            self._until(step, turns[-1] + 1, record.path + part, is_last=True)

    def _until(self, step: PlannedStep, turn: int, old: str, *, is_last: bool) -> None:
        """What ended a round is what it was while it asks the same, or another round came after."""
        until = until_step(step, turn) if isinstance(step.action, RepeatStep) else None
        last = self._lists[old][-1] if self._lists[old] else None
        self.found.total += until is not None
        if until is None or last is None or not last.path.endswith(f".{UNTIL}"):
            return
        if last.digest == until.digest or not is_last:
            self._pair(last, until)

    def _goes_on(self, record: StepRecord, step: PlannedStep, turn: int) -> bool:
        """Whether it is known that another round comes after the newest one of a REPEAT."""
        action = step.action
        if not isinstance(action, RepeatStep) or turn >= action.most or not self._decides:
            return False
        if action.until is None:
            return is_outdated(step, record)
        last = self._lists[f"{record.path}[{turn}]"][-1]
        return last.kind == UNTIL and last.path in self.found.moved and last.value == "false"


def _most_alike(
    old: Sequence[tuple[_Old, Collection[object]]], new: Sequence[tuple[_New, Collection[object]]]
) -> dict[_Old, _New]:
    """Pairs of those that have most in common, each of both in one pair at most."""
    counts = [
        (-len({*some} & {*others}), one != other, a, b)
        for a, (one, some) in enumerate(old)
        for b, (other, others) in enumerate(new)
    ]
    found: dict[int, int] = {}
    for count, _, a, b in sorted(counts):
        if count and a not in found and b not in found.values():
            found[a] = b
    return {old[a][0]: new[b][0] for a, b in sorted(found.items())}


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

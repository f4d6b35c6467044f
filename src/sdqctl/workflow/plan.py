"""From a Workflow to a Plan: cycles laid out, ELIDE joined, retries unrolled, digests taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never, cast

import msgspec

from sdqctl.errors import WorkflowError
from sdqctl.model.options import RunOptions
from sdqctl.model.paths import UNTIL, number_of
from sdqctl.model.plan import (
    Action,
    Condition,
    EarlierPart,
    FilePart,
    FirstPart,
    OutputPart,
    Plan,
    PlannedStep,
    PromptAction,
    PromptPart,
    ReferencesPart,
    TextPart,
    every_step,
    parts_of,
)
from sdqctl.model.workflow import (
    NOWHERE,
    BlockStep,
    CheckpointStep,
    CompactStep,
    ElideStep,
    ForStep,
    IfStep,
    Joinable,
    Nesting,
    NewConversationStep,
    OnError,
    OutputRule,
    PromptSettings,
    PromptStep,
    RepeatStep,
    RunStep,
    RunWaitStep,
    SessionMode,
    Single,
    Step,
    UntilStep,
    VerifyStep,
    Workflow,
)
from sdqctl.text.terminal import title
from sdqctl.workflow.digest import digest_of
from sdqctl.workflow.settings import together

MOST_STEPS = 100_000
ProloguePart = TextPart | FilePart | ReferencesPart
_TITLE = 60
_RETRY_PROMPT = "The command failed. Find out why and mend it; it will be run again."
"""In the digest of a step: with other words an unfinished run would not know its step again."""


def build_plan(workflow: Workflow, options: RunOptions | None = None) -> Plan:
    """Make the workflow concrete. Raises WorkflowError for more than MOST_STEPS steps."""
    cycles = (options and options.cycles) or workflow.max_cycles or 1
    mode = (options and options.session_mode) or workflow.session_mode or SessionMode.ACCUMULATE
    planner = _Planner(
        workflow,
        prologues=options.prologues if options else (),
        epilogues=options.epilogues if options else (),
    )
    for cycle in range(1, cycles + 1):
        planner.cycle(cycle, mode)
        if planner.count * (cycles // cycle) > MOST_STEPS:
            raise planner.too_many()
    return Plan(workflow=workflow, cycles=cycles, session_mode=mode, steps=tuple(planner.steps))


@dataclass
class _Planner:
    workflow: Workflow
    prologues: tuple[str, ...]
    epilogues: tuple[str, ...]
    steps: list[PlannedStep] = field(default_factory=list)
    """Of the list that is laid out: the whole one, or one of a block."""
    count: int = 0
    """Of all lists."""
    _outer: str = ""
    """What the paths of the list begin with."""
    _cycle: int = 1
    _pending: list[int] = field(default_factory=list)
    _unsure: bool = False
    """Whether blocks decide which outputs the next prompt is shown."""
    _run_positions: tuple[int, ...] = ()
    _condition: Condition | None = None
    _prompts: int = 0

    def cycle(self, number: int, mode: SessionMode) -> None:
        """Lay out one cycle."""
        self._cycle = number
        first_step = len(self.steps)
        if number > 1 and mode is SessionMode.COMPACT:
            compaction = self.workflow.compaction or CompactStep(span=NOWHERE)
            self._add(compaction, "compact between cycles")
        if number > 1 and mode is SessionMode.FRESH:
            self._add(NewConversationStep(span=NOWHERE), "new conversation")
        self._sequence(self.workflow.steps)
        self._surround(first_step)
        if self.workflow.checkpoint_after == "each-cycle":
            self._checkpoint(f"cycle-{number}")

    def too_many(self) -> WorkflowError:
        """The error for a plan that nobody means."""
        return WorkflowError(
            f"{self.workflow.path}: the plan has more than {MOST_STEPS} steps",
            hint="fewer cycles, or several workflows",
        )

    def _sequence(self, steps: Sequence[Step]) -> None:
        for chain in _chains(steps):
            if isinstance(chain, list):
                self._joined(chain)
            elif isinstance(chain, BlockStep):
                outer, runs = self._condition, self._run_positions
                self._condition = Condition(runs, chain.when)
                self._sequence(chain.steps)
                self._condition, self._run_positions = outer, runs
            elif isinstance(chain, Nesting):
                self._block(chain)
            else:
                self._add(chain, title_of(chain))

    def _block(self, step: Nesting) -> None:
        """A step with lists in it. What decides is its own: the lists are no part of its digest."""
        inside = [branch.steps for branch in step.branches] if isinstance(step, IfStep) else []
        inside = inside or [cast("ForStep | RepeatStep", step).steps]
        commands, prompts = _holds(inside, _COMMANDS), _holds(inside, PromptStep)
        again = not isinstance(step, IfStep) and commands
        unsure = self._unsure or bool(self._pending) or again
        position = self._add(_emptied(step), title_of(step))
        header = self.steps[position - 1]
        parts = parts_of(header)
        lists = tuple(
            self._list(steps, f"{header.path}{part}.", unsure)
            for steps, part in zip(inside, parts, strict=True)
        )
        self.steps[position - 1] = msgspec.structs.replace(header, lists=lists)
        if commands or (prompts and self._pending):
            self._pending, self._unsure = [], True

    def _list(self, steps: Sequence[Step], outer: str, unsure: bool) -> tuple[PlannedStep, ...]:
        """The steps of a block."""
        inner = _Planner(
            self.workflow,
            self.prologues,
            self.epilogues,
            count=self.count,
            _outer=outer,
            _cycle=self._cycle,
            _unsure=unsure,
            _prompts=self._prompts,
        )
        inner._sequence(steps)
        self.count, self._prompts = inner.count, inner._prompts
        return tuple(inner.steps)

    def _joined(self, chain: list[Joinable]) -> None:
        """Steps that ELIDE made one: commands run first, then one prompt has all of it."""
        prompts = [step for step in chain if isinstance(step, PromptStep)]
        prompt = together(prompts) if prompts else None
        outside = list(self._pending)
        parts: list[PromptPart] = []
        for step in chain:
            match step:
                case PromptStep():
                    parts.append(TextPart(step.text))
                case RunStep():
                    parts += map(OutputPart, self._command(step))
                case RunWaitStep() | VerifyStep():
                    parts.append(OutputPart(self._add(step, title_of(step))))
                case _:
                    assert_never(step)
        own = [part.position for part in parts if isinstance(part, OutputPart)]
        if prompt is None:
            self._pending += own
            return
        before: list[PromptPart] = [OutputPart(position) for position in outside]
        if self._unsure:
            before = [EarlierPart()]
        self._prompt(prompt, (*before, *parts))
        if self._condition is None:
            self._pending, self._unsure = [], False

    def _command(self, step: RunStep) -> tuple[int, ...]:
        """A RUN, and its retries: the agent is shown the failure, then it runs again.

        Returns the positions of all of them: which ran last, and was not shown yet, is known only
        when they have run.
        """
        single = msgspec.structs.replace(
            step, retries=0, retry_prompt=None, retry_with=PromptSettings()
        )
        shown = OutputRule.ON_ERROR if step.output is OutputRule.NEVER else step.output
        trial = msgspec.structs.replace(single, on_error=OnError.CONTINUE, output=shown)
        position = self._add(single if not step.retries else trial, title_of(step))
        outer = self._condition
        positions: tuple[int, ...] = (position,)
        for number in range(step.retries):
            self._condition = Condition(positions, "failure")
            text = step.retry_prompt or _RETRY_PROMPT
            parts = (OutputPart(position), TextPart(text))
            helper = PromptAction(parts=parts, runs_with=step.retry_with)
            self._add(helper, title(text, _TITLE))
            last = number + 1 == step.retries
            position = self._add(single if last else trial, title_of(step))
            positions = (*positions, position)
        self._condition = outer
        self._run_positions = positions
        return positions

    def _prompt(self, step: PromptStep, parts: tuple[PromptPart, ...]) -> None:
        action = PromptAction(
            parts=parts,
            context_limit=step.context_limit,
            on_context_limit=step.on_context_limit,
            on_context_limit_prompt=step.on_context_limit_prompt,
            capture=step.capture,
            capture_retries=step.capture_retries if step.capture else 2,
            runs_with=step.runs_with,
        )
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        first = next(line for line in texts[0].split("\n") if line.strip())
        self._add(action, title(first, _TITLE))
        self._prompts += 1
        after = self.workflow.checkpoint_after or ""
        every = int(after) if after.isdecimal() else (1 if after == "each-prompt" else 0)
        if every and self._prompts % every == 0:
            self._checkpoint(f"prompt-{self._prompts}")

    def _checkpoint(self, default: str) -> None:
        name = self.workflow.checkpoint_name
        label = f"{name}-{default}" if name else default
        self._add(CheckpointStep(span=NOWHERE, name=label), label)

    def _surround(self, first_step: int) -> None:
        """Put the prologue into the cycle's first prompt and the epilogue into its last one."""
        own = [step for step in self.steps[first_step:] if isinstance(step.action, PromptAction)]
        every = [
            s for s in every_step(self.steps[first_step:]) if isinstance(s.action, PromptAction)
        ]
        certain = [step for step in own if step.condition is None] or own
        if not every:
            return
        last = (certain or every)[-1].path
        nested = every[: every.index(certain[0])] if certain else every
        nested = [step for step in nested if step not in own]
        first = {step.path for step in (*nested, *certain[:1])}
        plain = self._prologue()
        prologue: tuple[PromptPart, ...] = plain
        if nested and plain:
            prologue = (FirstPart(plain),)
        self.steps[first_step:] = [
            _surrounded(step, first, prologue, last, self._epilogue())
            for step in self.steps[first_step:]
        ]

    def _prologue(self) -> tuple[ProloguePart, ...]:
        parts: list[ProloguePart] = [TextPart(text) for text in self.prologues]
        parts += _texts(self.workflow.prologues)
        if self.workflow.references:
            parts.append(ReferencesPart(self.workflow.references))
        return tuple(parts)

    def _epilogue(self) -> tuple[PromptPart, ...]:
        own = _texts(self.workflow.epilogues)
        return (*own, *(TextPart(text) for text in self.epilogues))

    def _add(self, action: Action, title: str) -> int:
        position = len(self.steps) + 1
        self.count += 1
        if self.count > MOST_STEPS:
            raise self.too_many()
        step = PlannedStep(
            path=f"{self._outer}{position}",
            cycle=self._cycle,
            title=title,
            digest=digest_of(action, position, self._condition),
            action=action,
            condition=self._condition,
        )
        self.steps.append(step)
        return position


_COMMANDS = (RunStep, RunWaitStep, VerifyStep)


def _holds(lists: Iterable[Sequence[Step]], kinds: type | tuple[type, ...]) -> bool:
    """Whether a step of some kinds stands in lists, at whatever depth."""
    for step in (step for steps in lists for step in steps):
        if isinstance(step, kinds):
            return True
        inner = [branch.steps for branch in step.branches] if isinstance(step, IfStep) else []
        if isinstance(step, RepeatStep | ForStep | BlockStep):
            inner = [step.steps]
        if _holds(inner, kinds):
            return True
    return False


def _emptied(step: Nesting) -> Nesting:
    """A block without its lists."""
    if not isinstance(step, IfStep):
        return msgspec.structs.replace(step, steps=())
    bare = tuple(msgspec.structs.replace(branch, steps=()) for branch in step.branches)
    return msgspec.structs.replace(step, branches=bare)


def _surrounded(
    step: PlannedStep,
    first: Collection[str],
    before: tuple[PromptPart, ...],
    last: str,
    after: tuple[PromptPart, ...],
) -> PlannedStep:
    """A step with what a cycle begins and ends with put into the prompts at some paths of it."""
    lists = tuple(
        tuple(_surrounded(inner, first, before, last, after) for inner in steps)
        for steps in step.lists
    )
    begins, ends = before if step.path in first else (), after if step.path == last else ()
    if not (begins or ends) or not isinstance(step.action, PromptAction):
        return step if lists == step.lists else msgspec.structs.replace(step, lists=lists)
    action = msgspec.structs.replace(step.action, parts=(*begins, *step.action.parts, *ends))
    digest = digest_of(action, number_of(step.path), step.condition)
    return msgspec.structs.replace(step, action=action, digest=digest)


def until_step(step: PlannedStep, turn: int) -> PlannedStep | None:
    """What decides after a round of a REPEAT; None: nothing."""
    action = cast("RepeatStep", step.action)
    if action.until is None:
        return None
    until = UntilStep(span=action.span, condition=action.until)
    return PlannedStep(
        path=f"{step.path}[{turn}].{UNTIL}",
        cycle=step.cycle,
        title=title_of(until),
        digest=digest_of(until, 0, None),
        action=until,
    )


def _chains(steps: Sequence[Step]) -> Iterator[list[Joinable] | Single | BlockStep | Nesting]:
    """Steps joined by ELIDE as lists, each other step by itself."""
    chain: list[Joinable] = []
    joining = False
    for step in steps:
        if isinstance(step, ElideStep):
            joining = True
        elif isinstance(step, Joinable):
            if chain and not joining:
                yield chain
                chain = []
            chain.append(step)
            joining = False
        else:
            if chain:
                yield chain
            chain, joining = [], False
            yield step
    if chain:
        yield chain


def _texts(texts: Sequence[str]) -> list[ProloguePart]:
    """Prologue or epilogue entries; following lines add up to one text, `@file` is a file."""
    parts: list[ProloguePart] = []
    for text in texts:
        if text.startswith("@") and "\n" not in text:
            parts.append(FilePart(text[1:].strip(), NOWHERE))
        elif parts and isinstance(parts[-1], TextPart):
            parts[-1] = TextPart(f"{parts[-1].text}\n{text}")
        else:
            parts.append(TextPart(text))
    return parts


def title_of(step: Single | Joinable | Nesting | UntilStep) -> str:
    """What a step is called in a list, short enough for it."""
    return title(step.title, _TITLE)

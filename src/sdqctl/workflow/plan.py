"""From a Workflow to a Plan: cycles laid out, ELIDE joined, retries unrolled, digests taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from sdqctl.errors import WorkflowError
from sdqctl.model.options import RunOptions
from sdqctl.model.paths import number_of
from sdqctl.model.workflow import (
    NOWHERE,
    Action,
    BlockStep,
    CheckpointStep,
    CompactStep,
    Condition,
    ConsultStep,
    ElideStep,
    FilePart,
    Joinable,
    NewConversationStep,
    OnError,
    OutputPart,
    OutputRule,
    PauseStep,
    Plan,
    PlannedStep,
    PromptAction,
    PromptPart,
    PromptStep,
    Reference,
    ReferencesPart,
    RunStep,
    RunWaitStep,
    SessionMode,
    Single,
    Span,
    Step,
    TextPart,
    VerifyStep,
    Workflow,
)
from sdqctl.text.terminal import title

MOST_STEPS = 100_000
_TITLE = 60
_RETRY_PROMPT = "The command failed. Find out why and mend it; it will be run again."
"""In the digest of a step: with other words an unfinished run would not know its step again."""
_FIELDS_OF_0_1: dict[type, int] = {
    PromptAction: 4,
    RunStep: 13,
    RunWaitStep: 2,
    VerifyStep: 5,
    CompactStep: 5,
    CheckpointStep: 2,
    PauseStep: 2,
    ConsultStep: 3,
    NewConversationStep: 1,
    TextPart: 1,
    FilePart: 2,
    ReferencesPart: 1,
    Reference: 4,
}
"""How many fields a digest has whatever they hold. A later one counts when it is not the default:
a step that does not use it is still the step that an unfinished run of an older version knows.
"""


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
        if len(planner.steps) * (cycles // cycle) > MOST_STEPS:
            raise planner.too_many()
    return Plan(workflow=workflow, cycles=cycles, session_mode=mode, steps=tuple(planner.steps))


@dataclass
class _Planner:
    workflow: Workflow
    prologues: tuple[str, ...]
    epilogues: tuple[str, ...]
    steps: list[PlannedStep] = field(default_factory=list)
    _cycle: int = 1
    _pending: list[int] = field(default_factory=list)
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
                self._condition = Condition(self._run_positions, chain.when)
                self._sequence(chain.steps)
                self._condition = None
            else:
                self._add(chain, _title(chain))

    def _joined(self, chain: list[Joinable]) -> None:
        """Steps that ELIDE made one: commands run first, then one prompt has all of it."""
        prompt = next((step for step in reversed(chain) if isinstance(step, PromptStep)), None)
        outside = list(self._pending)
        parts: list[PromptPart] = []
        for step in chain:
            match step:
                case PromptStep():
                    parts.append(TextPart(step.text))
                case RunStep():
                    parts += map(OutputPart, self._command(step))
                case RunWaitStep() | VerifyStep():
                    parts.append(OutputPart(self._add(step, _title(step))))
                case _:
                    assert_never(step)
        own = [part.position for part in parts if isinstance(part, OutputPart)]
        if prompt is None:
            self._pending += own
            return
        before = [OutputPart(position) for position in outside]
        self._prompt(prompt, (*before, *parts))
        if self._condition is None:
            self._pending.clear()

    def _command(self, step: RunStep) -> tuple[int, ...]:
        """A RUN, and its retries: the agent is shown the failure, then it runs again.

        Returns the positions of all of them: which ran last, and was not shown yet, is known only
        when they have run.
        """
        single = msgspec.structs.replace(step, retries=0, retry_prompt=None)
        shown = OutputRule.ON_ERROR if step.output is OutputRule.NEVER else step.output
        trial = msgspec.structs.replace(single, on_error=OnError.CONTINUE, output=shown)
        position = self._add(single if not step.retries else trial, _title(step))
        outer = self._condition
        positions: tuple[int, ...] = (position,)
        for number in range(step.retries):
            self._condition = Condition(positions, "failure")
            text = step.retry_prompt or _RETRY_PROMPT
            helper = PromptAction(parts=(OutputPart(position), TextPart(text)))
            self._add(helper, title(text, _TITLE))
            last = number + 1 == step.retries
            position = self._add(single if last else trial, _title(step))
            positions = (*positions, position)
        self._condition = outer
        if outer is None:
            self._run_positions = positions
        return positions

    def _prompt(self, step: PromptStep, parts: tuple[PromptPart, ...]) -> None:
        action = PromptAction(
            parts=parts,
            context_limit=step.context_limit,
            on_context_limit=step.on_context_limit,
            on_context_limit_prompt=step.on_context_limit_prompt,
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
        prompts = [
            index
            for index in range(first_step, len(self.steps))
            if isinstance(self.steps[index].action, PromptAction)
        ]
        certain = [index for index in prompts if self.steps[index].condition is None] or prompts
        if certain:
            self._extend(certain[0], self._prologue(), ())
            self._extend(certain[-1], (), self._epilogue())

    def _extend(
        self, index: int, before: tuple[PromptPart, ...], after: tuple[PromptPart, ...]
    ) -> None:
        step = self.steps[index]
        assert isinstance(step.action, PromptAction), "only prompts are surrounded"
        parts = (*before, *step.action.parts, *after)
        action = msgspec.structs.replace(step.action, parts=parts)
        self.steps[index] = msgspec.structs.replace(
            step, action=action, digest=_digest(action, number_of(step.path), step.condition)
        )

    def _prologue(self) -> tuple[PromptPart, ...]:
        parts: list[PromptPart] = [TextPart(text) for text in self.prologues]
        parts += _texts(self.workflow.prologues)
        if self.workflow.references:
            parts.append(ReferencesPart(self.workflow.references))
        return tuple(parts)

    def _epilogue(self) -> tuple[PromptPart, ...]:
        own = _texts(self.workflow.epilogues)
        return (*own, *(TextPart(text) for text in self.epilogues))

    def _add(self, action: Action, title: str) -> int:
        position = len(self.steps) + 1
        if position > MOST_STEPS:
            raise self.too_many()
        step = PlannedStep(
            path=str(position),
            cycle=self._cycle,
            title=title,
            digest=_digest(action, position, self._condition),
            action=action,
            condition=self._condition,
        )
        self.steps.append(step)
        return position


def _chains(steps: Sequence[Step]) -> Iterator[list[Joinable] | Single | BlockStep]:
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


def _texts(texts: Sequence[str]) -> list[PromptPart]:
    """Prologue or epilogue entries; following lines add up to one text, `@file` is a file."""
    parts: list[PromptPart] = []
    for text in texts:
        if text.startswith("@") and "\n" not in text:
            parts.append(FilePart(text[1:].strip(), NOWHERE))
        elif parts and isinstance(parts[-1], TextPart):
            parts[-1] = TextPart(f"{parts[-1].text}\n{text}")
        else:
            parts.append(TextPart(text))
    return parts


def _title(step: Single | Joinable) -> str:
    return title(step.title, _TITLE)


def _digest(action: Action, position: int, condition: Condition | None) -> str:
    """What the step does, without places in the file and with positions relative to it."""
    return hashlib.sha256(
        msgspec.json.encode([_plain(action, position), _plain(condition, position)])
    ).hexdigest()


def _plain(value: object, position: int) -> object:
    if isinstance(value, Span):
        return None
    if isinstance(value, OutputPart):
        return {"output": position - value.position}
    if isinstance(value, Condition):
        return {"after": [position - p for p in value.positions], "when": value.when}
    if isinstance(value, msgspec.Struct):
        return {"": value.__struct_config__.tag, **_plain_fields(value, position)}
    if isinstance(value, tuple):
        return [_plain(item, position) for item in value]
    return value


def _plain_fields(value: msgspec.Struct, position: int) -> dict[str, object]:
    names, defaults = value.__struct_fields__, value.__struct_defaults__
    later = names[_FIELDS_OF_0_1.get(type(value), 0) :]
    default = dict(zip(reversed(names), reversed(defaults), strict=False)) if later else {}
    return {
        name: _plain(getattr(value, name), position)
        for name in names
        if name not in later or getattr(value, name) != default.get(name, msgspec.NODEFAULT)
    }

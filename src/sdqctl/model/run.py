"""Runs and steps as the ledger keeps them."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

import msgspec

from sdqctl.model.paths import position_of
from sdqctl.model.session import ToolCall, Usage

GATES = ("pause", "consult", "ask")
"""The kinds of the steps at which a human is awaited."""
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class RunStatus(StrEnum):
    """Where a run stands. A `running` run whose process is gone counts as interrupted."""

    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"

    @property
    def unfinished(self) -> bool:
        """Whether `resume --continue` has something to do."""
        return self is not RunStatus.COMPLETED


class BatchOutcome(StrEnum):
    """How one run of several ended."""

    COMPLETED = "completed"
    SKIPPED = "skipped"
    """It was done before."""
    PAUSED = "paused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not-started"


class StepStatus(StrEnum):
    """Where one attempt at a step stands."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"

    @property
    def settled(self) -> bool:
        """Whether the step never has to run again."""
        return self in (StepStatus.DONE, StepStatus.SKIPPED)


def is_run_id(value: object) -> bool:
    """Whether a value can be a run's id: files and folders are called after it."""
    return isinstance(value, str) and _RUN_ID.fullmatch(value) is not None


def prompt_digest(prompt: str) -> str:
    """What a prompt is known by where its text is kept without secrets, or not at all."""
    import hashlib

    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


class TurnBegun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a prompt that was about to be sent, for finding it again.

    `journal_position` is the adapter's own measure of its journal before the send. The prompt may
    have lost its secrets; `prompt_digest` is of the text that was sent. `exclude_ids` are the
    message ids of other turns, which may have had the same prompt.
    """

    turn_id: str
    prompt: str
    prompt_digest: str | None = None
    message_id: str | None = None
    journal_position: int | None = None
    exclude_ids: frozenset[str] = frozenset()

    def matches(self, prompt: str, message_id: str | None) -> bool:
        """Whether a turn in a journal can be this one, by its prompt and its message id."""
        if message_id in self.exclude_ids:
            return False
        if self.prompt_digest is None:
            return prompt == self.prompt
        return prompt_digest(prompt) == self.prompt_digest


class OutcomeStatus(StrEnum):
    """How a turn that reached the runtime ended."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class TurnOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal says of a turn."""

    status: OutcomeStatus
    message_id: str | None = None
    response: str = ""
    tools: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    error: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt at a step, with the number of attempts so far (from 1).

    `shown_at` is when the message of a PAUSE or CONSULT was written to the user. `follows` is the
    turn whose interrupted prompt this attempt asks the agent to finish. `snapshot_before` and
    `snapshot` are the git commits of the work tree as it was when the attempt began and when it
    ended; None where none was taken.
    """

    number: int
    """Its place in the order in which all attempts begin and end."""
    run_id: str
    path: str
    """Where the step stands (`model.paths`)."""
    cycle: int
    kind: str
    title: str
    digest: str
    status: StepStatus
    attempts: int
    session_id: str | None = None
    turn_id: str | None = None
    prompt: str | None = None
    prompt_digest: str | None = None
    message_id: str | None = None
    journal_position: int | None = None
    command: str | None = None
    """Where what is known of its command lies (`sdqctl.store.evidence`)."""
    superseded: bool = False
    shown_at: datetime | None = None
    follows: str | None = None
    snapshot_before: str | None = None
    seen: int | None = None
    """When the tree was looked at that is `snapshot_before`, as a place in that order."""
    snapshot: str | None = None
    response: str | None = None
    tools: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    error: str | None = None
    exit_status: int | None = None
    value: str | None = None
    """What it gave or decided, as JSON. Empty: its answer is to become a value."""
    answer: str | None = None
    """What a human said at its gate."""
    comment: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def position(self) -> int:
        """The number of the step of the whole list that it lies in, or is."""
        return position_of(self.path)

    @property
    def seconds(self) -> float | None:
        """From its begin to its outcome, None without one; never negative, as clocks go back."""
        if self.started_at is None or self.completed_at is None:
            return None
        return max(0.0, (self.completed_at - self.started_at).total_seconds())

    @property
    def is_open_gate(self) -> bool:
        """Whether it is an ASK that nobody has answered."""
        return self.kind == "ask" and self.status is StepStatus.BEGUN and self.answer is None

    @property
    def may_be_half_done(self) -> bool:
        """Whether it was begun and may have acted, and did not come to its end as far as that is
        recorded.
        """
        if self.turn_id is not None or self.kind == "call":
            return not self.status.settled
        return self.kind == "run" and self.status is StepStatus.BEGUN

    @property
    def tolerated(self) -> str | None:
        """What went wrong in a step that is done all the same, for the run goes on after it."""
        return self.error if self.status is StepStatus.DONE else None

    @property
    def exact_prompt(self) -> str | None:
        """The prompt as it was sent; None when it is kept without the secrets that were in it."""
        kept = self.prompt is not None and prompt_digest(self.prompt) == self.prompt_digest
        return self.prompt if kept else None

    def turn(self, others: frozenset[str]) -> TurnBegun:
        """The turn of a prompt step; `others` are the message ids of its session's other turns."""
        return TurnBegun(
            turn_id=self.turn_id or "",
            prompt=self.prompt or "",
            prompt_digest=self.prompt_digest,
            message_id=self.message_id,
            journal_position=self.journal_position,
            exclude_ids=others,
        )


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a workflow in a session.

    `options` are the command's settings as JSON, so that a run goes on as it was started.
    `session_id` is the conversation the run stands in now; a new conversation changes it.
    `keeper` is the git folder in which the snapshots of its steps lie.
    """

    id: str
    adapter: str
    session_id: str
    session_name: str | None
    workflow: str | None
    workflow_path: str | None
    workflow_text: str | None
    status: RunStatus
    steps_total: int
    steps_done: int
    options: str = "{}"
    cwd: str | None = None
    model: str | None = None
    message: str | None = None
    keeper: str | None = None
    inputs: str | None = None
    """The values that it was given, as a JSON object."""
    parent_run: str | None = None
    """The run that calls it."""
    parent_path: str | None = None
    """The step that calls it; None: it is no longer part of its parent."""
    item: str | None = None
    """What the item of a list is known by, that it was called for."""
    seconds: float = 0.0
    """How long it was driven before `running_since`, with what it calls."""
    running_since: datetime | None = None
    """When a process began to drive it that has not ended it."""
    started_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None

    @property
    def is_open_prompt(self) -> bool:
        """Whether it is of a prompt that was sent by itself, and is not done."""
        return self.workflow_path is None and self.status.unfinished


class CalledRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that another one calls, with those that it calls itself."""

    run: RunRecord
    called: tuple[CalledRun, ...] = ()
    gate: StepRecord | None = None
    """The ASK at which it waits."""

    @property
    def open_gate(self) -> StepRecord | None:
        """The first ASK at which it or what it calls waits."""
        inner = (one.open_gate for one in self.called)
        return self.gate or next((gate for gate in inner if gate is not None), None)

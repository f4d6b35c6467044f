"""The one stream of events that every screen, file and recorder is a sink of.

Each event is a tagged record; `sdqctl run --format jsonl` writes them one a line.
Engine events speak of runs and steps, turn events of one prompt and its answer.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sdqctl.model.session import ToolCall, Usage


class FailureKind(StrEnum):
    """Why a turn failed, as far as it decides what happens next."""

    AUTHENTICATION = "authentication"
    RATE_LIMIT = "rate-limit"
    NETWORK = "network"
    SERVER = "server"
    REQUEST = "request"
    EMPTY = "empty"
    ABORTED = "aborted"
    MODEL = "model"


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all events."""


class SessionOpened(_Event, frozen=True, kw_only=True, tag="session.opened"):
    """A session was created (`resumed` False) or opened again."""

    session_id: str
    name: str | None
    adapter: str
    resumed: bool
    model: str | None = None
    sandbox: str = "none"
    """The net that the runtime and its tools are in."""


class RunStarted(_Event, frozen=True, kw_only=True, tag="run.started"):
    """A run began or goes on; the counts are those of its plan."""

    run_id: str
    workflow: str | None
    steps_total: int
    steps_done: int
    """Also those that were skipped."""
    steps_changed: int = 0
    steps_skipped: int = 0


class StepStarted(_Event, frozen=True, kw_only=True, tag="step.started"):
    """A step begins."""

    run_id: str
    position: int
    path: str
    cycle: int
    kind: str
    title: str
    attempt: int


class PromptBegun(_Event, frozen=True, kw_only=True, tag="prompt.begun"):
    """A prompt is recorded and about to be sent."""

    run_id: str
    position: int
    path: str
    turn_id: str
    prompt: str


class StepRecovered(_Event, frozen=True, kw_only=True, tag="step.recovered"):
    """What was done about a step that was found begun, in one line."""

    run_id: str
    position: int
    path: str
    action: str
    """`recorded`, `resent`, `continued`, `rerun`."""
    message: str


class StepFinished(_Event, frozen=True, kw_only=True, tag="step.finished"):
    """A step ended; `status` is a StepStatus."""

    run_id: str
    position: int
    path: str
    cycle: int
    kind: str
    title: str
    status: str
    response: str = ""
    usage: Usage = Usage()
    error: str | None = None
    tolerated: str | None = None
    """What went wrong in a step that is done all the same: the run goes on after it."""
    exit_status: int | None = None
    """Of a RUN's command."""
    seconds: float | None = None


class RunFinished(_Event, frozen=True, kw_only=True, tag="run.finished"):
    """The run ended or stopped; `status` is a RunStatus.

    `files_changed` are those of the work tree that are others than when this process began to work
    on the run; null without snapshots.
    """

    run_id: str
    status: str
    steps_done: int
    steps_total: int
    message: str | None = None
    files_changed: int | None = None


class PromptAccepted(_Event, frozen=True, kw_only=True, tag="prompt.accepted"):
    """The runtime took the prompt and named it; it may not be on disk yet."""

    turn_id: str
    message_id: str


class PromptStored(_Event, frozen=True, kw_only=True, tag="prompt.stored"):
    """The prompt stands in the runtime's journal on disk."""

    turn_id: str
    message_id: str


class TextDelta(_Event, frozen=True, kw_only=True, tag="text.delta"):
    """A piece of the answer, as it is made (streaming only)."""

    turn_id: str
    text: str


class TurnProgress(_Event, frozen=True, kw_only=True, tag="turn.progress"):
    """The model is at work, in a way that has no event of its own."""

    turn_id: str


class MessageAdded(_Event, frozen=True, kw_only=True, tag="message.added"):
    """A whole message of the agent; the last one of a turn is its answer."""

    turn_id: str
    text: str
    final: bool


class ToolStarted(_Event, frozen=True, kw_only=True, tag="tool.started"):
    """The agent uses a tool."""

    turn_id: str
    call: ToolCall


class ToolFinished(_Event, frozen=True, kw_only=True, tag="tool.finished"):
    """The tool's end; `call.ok` says how."""

    turn_id: str
    call: ToolCall


class PermissionDecided(_Event, frozen=True, kw_only=True, tag="permission.decided"):
    """A tool asked, and the policy answered."""

    turn_id: str
    kind: str
    target: str
    allowed: bool
    reason: str
    """What the agent was told."""
    by: str = ""
    """What decided, as in ToolDecision."""
    why: str = ""
    """The reason in a few words, for the user."""
    rules: tuple[str, ...] = ()
    """The rules that together would allow what was refused."""
    mode: str = ""
    """The mode that would allow it, where one would."""
    tool_call_id: str | None = None


class NetRefused(_Event, frozen=True, kw_only=True, tag="net.refused"):
    """The operating system's net kept a tool or a command from a path."""

    by: str
    """`landlock` or `bubblewrap`."""
    access: str
    """`read` or `write`."""
    path: str
    hint: str
    """The setting that would allow it."""
    run_id: str | None = None
    """Of a RUN command's run."""
    turn_id: str | None = None
    """Of a tool's turn."""
    tool_call_id: str | None = None


class UsageReported(_Event, frozen=True, kw_only=True, tag="usage.reported"):
    """One model call's use."""

    turn_id: str
    usage: Usage


class ContextChanged(_Event, frozen=True, kw_only=True, tag="context.changed"):
    """The runtime compacted or cut the context by itself."""

    turn_id: str
    what: str
    tokens_before: int | None = None
    tokens_after: int | None = None


class ModelCallFailed(_Event, frozen=True, kw_only=True, tag="model.failed"):
    """One model call failed; the runtime may try it again."""

    turn_id: str
    kind: FailureKind
    message: str


class ModelRetried(_Event, frozen=True, kw_only=True, tag="model.retried"):
    """The runtime tries a model call again."""

    turn_id: str
    reason: str


class Warned(_Event, frozen=True, kw_only=True, tag="warning"):
    """Something a user should know that stops nothing."""

    message: str


class BudgetNearing(_Event, frozen=True, kw_only=True, tag="budget.nearing"):
    """So much of a budget is used as `--warn-at` says; once for each."""

    budget: str
    """The option: `max-tokens`, `max-cost`, `max-time`, `max-steps`."""
    used: float
    """By the run with all that it calls, in all commands; of time in seconds."""
    limit: float


class TurnFinished(_Event, frozen=True, kw_only=True, tag="turn.finished"):
    """The last event of a turn that ended well."""

    turn_id: str
    response: str
    message_id: str | None = None
    tools: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()


class TurnFailed(_Event, frozen=True, kw_only=True, tag="turn.failed"):
    """The last event of a turn that did not."""

    turn_id: str
    kind: FailureKind
    message: str
    status_code: int | None = None
    response: str = ""
    message_id: str | None = None
    tools: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()


TurnEvent = (
    PromptAccepted
    | PromptStored
    | TextDelta
    | TurnProgress
    | MessageAdded
    | ToolStarted
    | ToolFinished
    | PermissionDecided
    | NetRefused
    | UsageReported
    | ContextChanged
    | ModelCallFailed
    | ModelRetried
    | Warned
    | TurnFinished
    | TurnFailed
)
"""What `AdapterSession.send` yields."""

Event = (
    TurnEvent
    | SessionOpened
    | RunStarted
    | StepStarted
    | PromptBegun
    | StepRecovered
    | StepFinished
    | RunFinished
    | BudgetNearing
)
"""Everything that happens."""

"""Sessions as JSON shows them: listed, shown, exported, found, deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Self, TypeVar

import msgspec

from sdqctl.model.audit import ToolRecord
from sdqctl.model.session import SessionStatus, ToolCall, Turn, Usage
from sdqctl.model.views.run import FullRunView, GateView, RunView
from sdqctl.model.workspace import FileChange

_Turns = TypeVar("_Turns")


class TurnView(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and its answer, as the runtime keeps them."""

    index: int
    """From 1."""
    prompt: str
    response: str
    started_at: datetime | None
    completed_at: datetime | None
    tools: tuple[ToolCall, ...]
    usage: Usage
    error: str | None
    """Why it failed."""
    finished: bool
    """False when its end was not seen."""

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """The view of a turn."""
        return cls(**{name: getattr(turn, name) for name in cls.__struct_fields__})


class _Session(msgspec.Struct, Generic[_Turns], frozen=True, kw_only=True):
    """What every view of a session has."""

    id: str
    """The runtime's."""
    name: str | None
    """The user's."""
    adapter: str
    start_time: datetime | None
    """When it was made."""
    modified_time: datetime | None
    """When it was last changed."""
    summary: str | None
    """The runtime's own; mostly the beginning of the first prompt."""
    is_remote: bool
    """As the runtime recorded it."""
    status: SessionStatus
    in_use: bool
    """Whether a process has it open."""
    kept: bool
    """Whether cleanup leaves it alone (`sessions keep`)."""
    parent: str | None
    """The id of the session whose run called the run of this one."""
    children: int
    """How many sessions its runs have called, and those again."""
    client: str | None
    """The program that made it, such as `sdqctl`."""
    model: str | None
    cwd: str | None
    """As the runtime recorded it."""
    repository: str | None
    """As the runtime recorded it, `owner/name`."""
    branch: str | None
    """As the runtime recorded it."""
    turns: _Turns
    tokens: int | None
    """What its runs used; null in `sessions show` and `export`."""
    damage: str | None
    """Why the runtime may not open it."""
    run: RunView | None
    """The last run."""


class SessionView(_Session[int | None], frozen=True, kw_only=True):
    """A session as it is listed; its turns are counted."""


class StepFilesView(msgspec.Struct, frozen=True, kw_only=True):
    """What one step changed in the work tree."""

    run: str
    """The run's id."""
    path: str
    """The step's."""
    before: str
    """The git commit of the tree before it."""
    after: str
    """The git commit of the tree after it."""
    files: tuple[FileChange, ...]


class FullSessionView(_Session[list[TurnView]], frozen=True, kw_only=True):
    """A session with its turns and runs."""

    runs: list[FullRunView]
    """All runs, the first one first."""
    files: list[StepFilesView]
    """What their steps changed, for those that changed anything."""
    audit: list[ToolRecord] | msgspec.UnsetType = msgspec.UNSET
    """Every tool request, with `--audit`."""


class SessionLine(SessionView, frozen=True, kw_only=True, tag_field="type", tag="session"):
    """The first line of a session that is exported as `jsonl`."""


class TurnLine(TurnView, frozen=True, kw_only=True, tag_field="type", tag="turn"):
    """Each other line of it."""


class HitView(msgspec.Struct, frozen=True, kw_only=True):
    """A place where all words of a search stand."""

    id: str
    """Of the session."""
    name: str | None
    """What the session is called; null for one that went in the meantime."""
    adapter: str
    turn: int
    """Its index."""
    place: str = msgspec.field(name="in")
    """`prompt` or `answer`."""
    at: datetime | None
    """When the turn began."""
    snippet: str
    """The words with what stands around them."""


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of one group used; the group's name is in the first field, one of four."""

    day: str | msgspec.UnsetType = msgspec.UNSET
    """With `--by day`."""
    workflow: str | msgspec.UnsetType = msgspec.UNSET
    """With `--by workflow`."""
    model: str | msgspec.UnsetType = msgspec.UNSET
    """With `--by model`."""
    session: str | msgspec.UnsetType = msgspec.UNSET
    """With `--by session`."""
    prompts: int
    """How many were sent."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    model_calls: int
    tools: int
    """How many tool calls were made."""
    cost: float
    """As the runtime reports it."""
    seconds: float
    """The time in which prompts were answered."""


class DeletedView(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was deleted, or would be."""

    id: str
    name: str | None
    adapter: str


class UndeletedView(msgspec.Struct, frozen=True, kw_only=True):
    """A session that could not be deleted."""

    id: str
    code: str
    """As in an error."""
    message: str


class DeletionView(msgspec.Struct, frozen=True, kw_only=True):
    """What `sessions delete` and `sessions cleanup` did."""

    dry_run: bool
    """True: nothing was deleted."""
    sessions: list[DeletedView]
    failed: list[UndeletedView]


class TrashView(msgspec.Struct, frozen=True, kw_only=True):
    """A session in the trash."""

    name: str | None
    id: str | None
    """Null, as `adapter` is, when its file cannot be read."""
    adapter: str | None
    deleted_at: datetime
    size: int
    """Of its file, in bytes."""
    file: str
    """Where it lies."""


class PermissionView(msgspec.Struct, frozen=True, kw_only=True):
    """A tool request that a human is asked about."""

    kind: str
    """`shell`, `read`, `write`, `url`, ..."""
    target: str
    """The command, path or address."""
    intention: str
    """What the agent says it is for."""
    detail: str
    """What would be written, as a diff, where the runtime reports it."""
    why: str
    """Why it is asked."""
    asked_at: datetime


class WaitingView(msgspec.Struct, frozen=True, kw_only=True):
    """What the run of a session waits for; both are null when it waits for nothing."""

    id: str
    name: str | None
    permission: PermissionView | None
    """Waits in a process that goes on."""
    gate: GateView | None
    """The ASK at which it stopped."""

"""The seam between sdqctl and an agent runtime: what every adapter gives, and what it may give.

An adapter drives live sessions; its archive reads what lies on disk without the runtime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar, runtime_checkable

from sdqctl.errors import CapabilityError
from sdqctl.model.events import TurnEvent
from sdqctl.model.health import Health as Health
from sdqctl.model.health import SignIn as SignIn
from sdqctl.model.health import ToolNames as ToolNames
from sdqctl.model.run import TurnBegun, TurnOutcome
from sdqctl.model.session import Holder, SessionInfo, Turn
from sdqctl.model.tools import DenyAll, McpServer, ToolPolicy


class Capability(StrEnum):
    """Names of the powers that not every adapter has; each is a Protocol below (`POWERS`)."""

    READS_HISTORY = "reads-history"
    REWINDS = "rewinds"
    FORKS = "forks"
    COMPACTS = "compacts"
    RENAMES = "renames"
    LISTS_MODELS = "lists-models"
    PURGES = "purges"
    LISTS_TOOLS = "lists-tools"
    STRUCTURES_ANSWERS = "structures-answers"
    SIGNS_IN = "signs-in"
    SWITCHES_MODELS = "switches-models"
    SELECTS_AGENTS = "selects-agents"
    LIMITS_TOOLS = "limits-tools"
    ATTACHES = "attaches"
    EQUIPS = "equips"


AskUser = Callable[[str, tuple[str, ...]], str | None]
"""Asks a human a question, with the answers that there are (none: any). None: nothing was said."""


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """How one session is opened. Everything is applied again at every resume.

    `session_name` seeds the id of a new session. `resume_if_exists` makes `create_session` go on
    in a session of that name when there is one. `working_directory` must exist when given.
    """

    model: str | None = None
    streaming: bool = True
    session_name: str | None = None
    resume_if_exists: bool = False
    working_directory: Path | None = None
    policy: ToolPolicy = field(default_factory=DenyAll)
    keep_way_back: bool = False
    """Whether a prompt may have to be taken out of the conversation, with what it did undone: where
    the runtime cannot, a copy is made before each, if it makes copies."""
    ask_user: AskUser | None = None
    """Who answers the agent's own questions; None: nobody, they are declined."""
    history_store: bool = True
    """Whether the runtime may keep its own full-text copy of the turns."""
    infinite_sessions: bool | None = None
    """The runtime's automatic compaction; None leaves the runtime's default."""
    compaction_threshold: float | None = None
    """The fill of the context, 0 to 1, at which automatic compaction starts."""
    compaction_maximum: float | None = None
    """The fill, 0 to 1, at which a turn waits until automatic compaction is done."""
    system_message: str | None = None
    """Added to the agent's own instructions."""
    agents: Mapping[str, Path] = field(default_factory=dict)
    """Custom agents, by name: the file of each."""
    skills: tuple[Path, ...] = ()
    """Folders of skills."""
    servers: tuple[McpServer, ...] = ()
    """MCP servers that are started with the session."""
    excluded_tools: tuple[str, ...] = ()
    """Tools that do not exist, in the form of `LimitsTools`."""
    steered: bool = False
    """Whether model and effort change on the way: what an earlier process may have left of them is
    not what the session was opened with."""
    trust_repository: bool = False
    """Whether what the repository brings for the agent (hooks, settings, servers, agents, skills)
    may take effect; False: the runtime reads none of it."""


@dataclass(frozen=True, kw_only=True)
class ContextUse:
    """How full the context window is, in tokens."""

    used: int
    limit: int


class AdapterSession(Protocol):
    """One open session. Only one turn runs at a time."""

    @property
    def info(self) -> SessionInfo:
        """The session as it was when it was opened."""
        ...

    def journal_position(self) -> int:
        """How far the session's journal goes now, in the adapter's own unit; grows with writes."""
        ...

    def send(self, prompt: str, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        """Send a prompt and yield what happens; the last event is TurnFinished or TurnFailed.

        PromptAccepted comes first, PromptStored once the prompt is on disk. No time limit is
        kept here. Closing the iterator early leaves the turn running: call `abort`.

        Raises: RuntimeDiedError when the runtime ends (seen within two seconds).
        """
        ...

    async def find_turn(self, begun: TurnBegun) -> TurnOutcome | None:
        """Look a turn up in the journal: how it ended, or None if its prompt never arrived.

        By its message id where that is known; else the first turn after `journal_position` that
        `begun.may_be`: other turns may have had the same prompt.
        """
        ...

    async def abort(self) -> None:
        """Stop the running turn; nothing happens if there is none."""
        ...

    async def close(self) -> None:
        """Release the session; the data stays."""
        ...


class Adapter(Protocol):
    """One runtime. An async context manager: entering starts the runtime, leaving stops it."""

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    @property
    def runtime_pid(self) -> int | None:
        """The runtime's process while it runs, None for a runtime without one."""
        ...

    @property
    def runtime_mark(self) -> str | None:
        """The mark of the runtime's processes and its tools' (`sdqctl.offspring`), if it has any.

        Leaving the adapter ends them all.
        """
        ...

    async def create_session(self, config: AdapterConfig) -> AdapterSession:
        """Create a session, or go on in the named one with `resume_if_exists`.

        Raises: SessionExistsError if the name or its id is taken; SessionUnusableError if the
        working directory is gone.
        """
        ...

    async def resume_session(self, session_id: str, config: AdapterConfig) -> AdapterSession:
        """Open an existing session with its whole history.

        Raises: SessionNotFoundError; SessionUnusableError for a damaged or remote session or a
        working directory that is gone.
        """
        ...

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """All sessions of the runtime, in no order."""
        ...

    async def get_session(self, session_id: str) -> SessionInfo | None:
        """One session, None if there is none of this id."""
        ...

    async def delete_session(self, session_id: str) -> None:
        """Delete a session's data. Raises: SessionNotFoundError, SessionBusyError."""
        ...

    async def check(self) -> Health:
        """What is installed and whether it works; never raises for a missing runtime.

        May be called without entering the adapter.
        """
        ...


class SessionArchive(Protocol):
    """What lies on disk, read without the runtime and without its SDK. Tolerates damage."""

    name: str

    def sessions(self) -> Iterable[SessionInfo]:
        """All sessions found, in no order; one that cannot be read has `damage` set."""
        ...

    def layout_is_unknown(self) -> bool:
        """Whether something lies there that is not what this archive can read."""
        ...

    def get(self, session_id: str) -> SessionInfo | None:
        """One session by its exact id."""
        ...

    def turns(self, session_id: str) -> Iterator[Turn]:
        """The turns of a session, oldest first, as far as they can be read."""
        ...

    def count_turns(self, session_id: str) -> int | None:
        """How many prompts a session holds; None when counting would take reading very much."""
        ...

    def fingerprint(self, session_id: str) -> tuple[int, int] | None:
        """What changes when something is written: size and time (ns) of the journal."""
        ...

    def files(self, session_id: str) -> list[tuple[str, Path]]:
        """The files that make up a session, by relative name. Raises SessionUnusableError."""
        ...

    def stage(self) -> Path:
        """A new private folder in which files of a session can be gathered for `install`."""
        ...

    def install(
        self,
        staged: Path,
        session_id: str,
        *,
        name: str | None,
        cwd: str | None,
        unchanged: bool = False,
    ) -> None:
        """Make a session of staged files, under this id, name and working directory, at once.

        Without a name it has none, whatever the files say: they may be anyone's. `unchanged`: the
        files are those of a session of this id, and stay as they are, also damaged.

        Raises SessionExistsError when the id is taken, SessionUnusableError for files that are
        none of a session.
        """
        ...

    def holder(self, session_id: str) -> Holder | None:
        """The live process that has the session open by the runtime's own markers, else None."""
        ...


@runtime_checkable
class Relocates(Protocol):
    """An archive that can give a closed session another working directory."""

    def relocate(self, session_id: str, cwd: str) -> None:
        """Raises SessionUnusableError."""
        ...


@runtime_checkable
class LeavesBehind(Protocol):
    """An archive whose runtime keeps a part of a session where `files` may not find it."""

    def left_behind(self, session_id: str) -> str | None:
        """What of it does not go into a bundle, as a line for the user; None: all does."""
        ...


@runtime_checkable
class ReadsHistory(Protocol):
    """A session that can tell the turns which stand in its context (READS_HISTORY)."""

    async def history(self) -> Sequence[Turn]: ...


@runtime_checkable
class Rewinds(Protocol):
    """A session that can take a turn's prompt, and all after it, out of its context (REWINDS).

    Without it a prompt whose end was not seen stays, and the agent is asked to finish it.
    """

    def rewind_problem(self, to: TurnBegun) -> str | None:
        """Why this turn cannot be taken out, in words; None: it can, or is not there."""
        ...

    async def rewind(self, to: TurnBegun) -> None:
        """Raises: StepError when the runtime refuses; nothing was changed then."""
        ...


@runtime_checkable
class Compacts(Protocol):
    """A session whose context the runtime can compact and measure (COMPACTS)."""

    def compact(self, instructions: str | None = None, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        """Compact, as a turn: the last event is TurnFinished, whose response is the summary (of
        an empty session none), or TurnFailed. `abort` stops it.
        """
        ...

    async def context_use(self) -> ContextUse | None: ...


@runtime_checkable
class Forks(Protocol):
    """An adapter that copies a session (FORKS).

    `before_event` is the `event_id` of the first turn that the copy leaves out; CapabilityError is
    raised where copies are whole alone. The copy's id is the runtime's choice.
    """

    async def fork_session(
        self, session_id: str, name: str, *, before_event: str | None = None
    ) -> SessionInfo: ...


@runtime_checkable
class Renames(Protocol):
    """An adapter that renames a closed session (RENAMES)."""

    async def rename_session(self, session_id: str, name: str) -> None: ...


@runtime_checkable
class ListsModels(Protocol):
    """An adapter that knows its models (LISTS_MODELS)."""

    async def list_models(self) -> Sequence[str]: ...


@runtime_checkable
class Purges(Protocol):
    """An adapter whose runtime keeps text of deleted sessions, and can forget it (PURGES)."""

    async def purge_session(self, session_id: str) -> None: ...


@runtime_checkable
class ListsTools(Protocol):
    """An adapter that knows the tools of its runtime (LISTS_TOOLS). It need not be entered."""

    async def list_tools(self) -> ToolNames: ...


@runtime_checkable
class StructuresAnswers(Protocol):
    """A session that can hold the model to a structure (STRUCTURES_ANSWERS)."""

    def expect(self, schema: dict[str, object]) -> bool:
        """Have the answer to the next prompt that is sent be JSON of this schema; whether that can
        be. The answer is not checked: a model may pay no heed.
        """
        ...


@runtime_checkable
class SignsIn(Protocol):
    """An adapter whose runtime has a sign-in of its own (SIGNS_IN). It need not be entered."""

    def sign_in(self) -> SignIn:
        """Raises: RuntimeMissingError."""
        ...


@runtime_checkable
class Equips(Protocol):
    """An adapter whose sessions can be opened with more than the runtime's own (EQUIPS)."""

    def check_equipment(self, config: AdapterConfig) -> None:
        """Raise CapabilityError for what of `system_message`, `agents`, `skills`, `servers` and
        `excluded_tools` its sessions cannot have.
        """
        ...


@runtime_checkable
class SwitchesModels(Protocol):
    """A session whose next prompts can have another model or effort (SWITCHES_MODELS)."""

    async def switch_model(self, model: str | None, effort: str | None) -> None:
        """None: as it was opened with. Raises StepError for one that is not to be had."""
        ...


@runtime_checkable
class SelectsAgents(Protocol):
    """A session whose next prompts can be a custom agent's (SELECTS_AGENTS)."""

    async def select_agent(self, name: str | None) -> None:
        """None: no custom one. Raises StepError that names those that there are."""
        ...


@runtime_checkable
class LimitsTools(Protocol):
    """A session whose next prompts can have fewer tools (LIMITS_TOOLS)."""

    async def limit_tools(self, only: Sequence[str] | None) -> None:
        """Leave these of the tools that it may have, `SERVER:TOOL` for one of an MCP server; None:
        all. Raises StepError for a name that nothing has.
        """
        ...


@runtime_checkable
class Attaches(Protocol):
    """A session whose prompts can have files and images (ATTACHES)."""

    def attach(self, files: Sequence[Path]) -> None:
        """Have the next prompt that is sent go with these files."""
        ...


POWERS: dict[type, tuple[Capability, str]] = {
    ReadsHistory: (Capability.READS_HISTORY, "read the history of sessions"),
    Rewinds: (Capability.REWINDS, "take prompts out of conversations"),
    Forks: (Capability.FORKS, "fork sessions"),
    Compacts: (Capability.COMPACTS, "compact sessions"),
    Renames: (Capability.RENAMES, "rename sessions"),
    ListsModels: (Capability.LISTS_MODELS, "list models"),
    Purges: (Capability.PURGES, "purge deleted sessions"),
    ListsTools: (Capability.LISTS_TOOLS, "list tools"),
    StructuresAnswers: (Capability.STRUCTURES_ANSWERS, "hold answers to a structure"),
    SignsIn: (Capability.SIGNS_IN, "sign anyone in"),
    SwitchesModels: (Capability.SWITCHES_MODELS, "change the model within a session"),
    SelectsAgents: (Capability.SELECTS_AGENTS, "choose custom agents"),
    LimitsTools: (Capability.LIMITS_TOOLS, "limit the tools of a prompt"),
    Attaches: (Capability.ATTACHES, "attach files to prompts"),
    Equips: (Capability.EQUIPS, "give sessions agents, skills, servers or instructions"),
}
"""Every power: its Protocol, its name, and what an adapter does that has it. To have a power is to
have its methods; nothing else declares it."""
_Power = TypeVar("_Power")


def find_power(of: Adapter | AdapterSession, kind: type[_Power]) -> _Power | None:
    """An adapter or a session as one that has a power; None when it has not."""
    return of if isinstance(of, kind) else None


def power(of: Adapter | AdapterSession, kind: type[_Power], wanted_by: str = "") -> _Power:
    """An adapter or a session as one that has a power; `wanted_by` is the directive that needs it.

    Raises CapabilityError that names the adapter.
    """
    found = find_power(of, kind)
    if found is None:
        info = getattr(of, "info", None)
        name = info.adapter if info is not None else getattr(of, "name", "")
        needs = f"{wanted_by} is not possible: " if wanted_by else ""
        raise CapabilityError(f"{needs}the {name} adapter does not {POWERS[kind][1]}")
    return found


def capabilities_of(*classes: type) -> frozenset[Capability]:
    """The powers that an adapter's class and its session's class have together."""
    return frozenset(
        capability
        for kind, (capability, _) in POWERS.items()
        if any(issubclass(cls, kind) for cls in classes)
    )

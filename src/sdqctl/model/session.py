"""Sessions, turns and what one may want to know about them without opening them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from sdqctl.errors import SessionExistsError

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ID_BYTES = 255
_NAME_UNITS = 100
"""Most UTF-16 units in a session name (docs/copilot-findings.md, Names)."""


class SessionStatus(StrEnum):
    """What a session is doing, as its last run and its lock say."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One session as its runtime keeps it. Times are aware UTC; None means not known."""

    id: str
    adapter: str
    name: str | None = None
    summary: str | None = None
    start_time: datetime | None = None
    modified_time: datetime | None = None
    is_remote: bool = False
    client: str | None = None
    model: str | None = None
    cwd: str | None = None
    repository: str | None = None
    branch: str | None = None
    stored: bool = True
    """False: no journal was ever written, so nothing was said in it yet."""
    damage: str | None = None
    """Why the session may not be readable or resumable; None when nothing was seen."""

    @property
    def label(self) -> str:
        """The name to show a user: the given name, else the id."""
        return self.name or self.id

    @property
    def keys(self) -> tuple[str, str]:
        """What it is found by: its id and its name, without regard to case."""
        return folded(self.id), folded(self.label)


class SessionRef(msgspec.Struct, frozen=True):
    """Which session: the adapter and the runtime's id."""

    adapter: str
    id: str


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a session open."""

    pid: int
    host: str | None = None
    command: str | None = None
    since: datetime | None = None

    def describe(self) -> str:
        """The holder in a few words for an error message."""
        parts = [f"process {self.pid}"]
        if self.command:
            parts.append(f"`{self.command}`")
        if self.host:
            parts.append(f"on {self.host}")
        if self.since:
            parts.append(f"since {self.since.astimezone():%Y-%m-%d %H:%M:%S}")
        return " ".join(parts)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What model calls used: tokens, calls, and the cost where the runtime reports it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            model_calls=self.model_calls + other.model_calls,
            cost=self.cost + other.cost,
        )


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a tool. `ok` is None when its end was not seen."""

    id: str
    name: str
    summary: str = ""
    """The command, path or arguments, in one line."""
    ok: bool | None = None
    denied: bool = False
    """Refused by the policy, so without any effect."""
    exit_status: int | None = None
    """Of a command, where the runtime reports it; one that is not 0 is no failure of the tool."""
    added: int | None = None
    """Lines that an edit added, where the runtime reports it."""
    removed: int | None = None
    """Lines that it removed."""

    @property
    def outcome(self) -> str:
        """How it ended, in a word."""
        if self.ok is None:
            return "cut off"
        return "ok" if self.ok else "denied" if self.denied else "failed"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and everything the agent did until it was idle again. `index` counts from 1."""

    index: int
    prompt: str
    response: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    tools: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    message_id: str | None = None
    event_id: str | None = None
    error: str | None = None
    finished: bool = True
    model: str | None = None
    """What answered, where the journal says it."""


def folded(name: str) -> str:
    """A name or an id as it is compared: without regard to case."""
    return name.casefold()


def find_called(sessions: Iterable[SessionInfo], *names: str) -> SessionInfo | None:
    """The first session that has one of these as its name or its id."""
    wanted = {folded(name) for name in names}
    return next((info for info in sessions if not wanted.isdisjoint(info.keys)), None)


def by_key(sessions: Iterable[SessionInfo]) -> dict[str, SessionInfo]:
    """Sessions by what they are found by; of two with the same, the first one."""
    found: dict[str, SessionInfo] = {}
    for info in sessions:
        for key in info.keys:
            found.setdefault(key, info)
    return found


def name_taken(info: SessionInfo, *, hint: str) -> SessionExistsError:
    """What is raised when a session that is there has the name of a new one."""
    return SessionExistsError(f"a session named {info.label!r} exists already", hint=hint)


def refuse_taken(sessions: Iterable[SessionInfo], *names: str, hint: str) -> None:
    """Raise SessionExistsError when one of these is a session's name or id already."""
    if (taken := find_called(sessions, *names)) is not None:
        raise name_taken(taken, hint=hint)


def name_problem(name: str) -> str | None:
    """Say what is wrong with a session name, or None if it is good.

    The rules are a runtime's own at create (docs/copilot-findings.md, Names), kept for all
    adapters.
    """
    if not name:
        return "is empty"
    if name != name.strip():
        return "begins or ends with white space"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        return "holds a control character"
    if '"' in name:
        return "holds a double quote"
    if any(0xD800 <= ord(char) < 0xE000 for char in name):
        return "is not valid unicode"
    units = len(name.encode("utf-16-le")) // 2
    if units > _NAME_UNITS:
        return f"is {units} characters long, {_NAME_UNITS} are allowed"
    return None


def is_session_id(text: str) -> bool:
    """Whether a text can be a session's id: the name of one folder, whatever the file system."""
    unsafe = any(char in "/\\" or ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
    surrogates = any(0xD800 <= ord(char) < 0xE000 for char in text)
    if not text or text.startswith(".") or unsafe or surrogates:
        return False
    return len(text.encode()) <= _ID_BYTES


def session_id_for(name: str) -> str:
    """The id that a session of this name gets: the name itself where it is a valid id.

    Else a slug of it with a short hash, so that two names never share an id by their slug.
    """
    if _PLAIN_ID.fullmatch(name):
        return name
    import hashlib  # loading it costs 3 ms, which a list need not spend

    slug = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:60] or "session"
    return f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"

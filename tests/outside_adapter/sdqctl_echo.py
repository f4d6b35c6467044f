"""An adapter in one file: an agent that answers with the last line of what it is told.

`refuse` it refuses, at `wait` it waits until it is stopped, and `write PATH` makes it ask for a
tool. Its sessions are folders of `<data>/echo` with `session.json` and a journal. It has no client
that takes time to import, so the archive may stand beside the adapter.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sdqctl.adapters import (
    Adapter,
    AdapterConfig,
    AdapterEntry,
    AdapterSession,
    AdapterSettings,
    Health,
    Outlook,
    SessionArchive,
)
from sdqctl.adapters.files import install, make_stage, session_files
from sdqctl.adapters.journal import (
    TurnCounter,
    count_turns,
    find_turn,
    fingerprint,
    read_turns,
    turn_outcome,
)
from sdqctl.adapters.names import KnownNames
from sdqctl.errors import (
    SessionBusyError,
    SessionExistsError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.model.events import (
    FailureKind,
    MessageAdded,
    PermissionDecided,
    PromptAccepted,
    PromptStored,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
)
from sdqctl.model.run import TurnBegun, TurnOutcome
from sdqctl.model.session import Holder, SessionInfo, ToolCall, Turn, Usage, session_id_for
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest, evaluate
from sdqctl.process import may_hold

JOURNAL, ABOUT = "events.jsonl", "session.json"


class EchoEntry(AdapterEntry):
    """What the entry point names."""

    name = "echo"

    def adapter(self, settings: AdapterSettings) -> Adapter:
        """The adapter."""
        return EchoAdapter(settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        """Its sessions on disk."""
        return EchoArchive(settings)

    def outlook(self, settings: AdapterSettings) -> Outlook:
        """It is a part of this package."""
        return Outlook("the echo in this process", "none")


class EchoArchive:
    """Reads the sessions (SessionArchive)."""

    name = "echo"

    def __init__(self, settings: AdapterSettings) -> None:
        self.root = settings.data_dir / "echo"

    def sessions(self) -> Iterator[SessionInfo]:
        """All sessions."""
        found = map(self.get, os.listdir(self.root) if self.root.is_dir() else ())
        return (info for info in found if info is not None)

    def layout_is_unknown(self) -> bool:
        """It has one layout."""
        return False

    def get(self, session_id: str) -> SessionInfo | None:
        """One session by its exact id."""
        folder = self.root / session_id
        if not session_id or session_id.startswith(".") or "/" in session_id:
            return None
        try:
            about = json.loads((folder / ABOUT).read_bytes())
            written = os.stat(folder / JOURNAL).st_mtime
        except OSError:
            return None
        return SessionInfo(
            id=session_id,
            adapter=self.name,
            name=about["name"],
            cwd=about["cwd"],
            client="sdqctl",
            start_time=datetime.fromisoformat(about["made"]),
            modified_time=datetime.fromtimestamp(written, UTC),
        )

    def turns(self, session_id: str) -> Iterator[Turn]:
        """The turns, oldest first."""
        return read_turns(self.root / session_id / JOURNAL)

    def count_turns(self, session_id: str) -> int | None:
        """How many prompts there are."""
        return count_turns(self.root / session_id / JOURNAL)

    def fingerprint(self, session_id: str) -> tuple[int, int] | None:
        """Size and time of the journal."""
        return fingerprint(self.root / session_id / JOURNAL)

    def files(self, session_id: str) -> list[tuple[str, Path]]:
        """The session's folder."""
        return session_files(self.root / session_id)

    def stage(self) -> Path:
        """A folder beside the sessions."""
        return make_stage(self.root)

    def install(
        self,
        staged: Path,
        session_id: str,
        *,
        name: str | None,
        cwd: str | None,
        unchanged: bool = False,
    ) -> None:
        """Write name and folder into session.json, then move."""
        if not unchanged:
            try:
                about = json.loads((staged / ABOUT).read_bytes())
            except (OSError, ValueError) as error:
                raise SessionUnusableError(f"{ABOUT} is none of an echo session") from error
            changed = {"name": name, "cwd": cwd or about["cwd"]}
            (staged / ABOUT).write_text(json.dumps({**about, **changed}))
        install(staged, self.root / session_id)

    def holder(self, session_id: str) -> Holder | None:
        """The live process that has the session open."""
        for mark in (self.root / session_id).glob("inuse.*.lock"):
            pid = int(mark.name.split(".")[1])
            if may_hold(pid, mark.stat().st_mtime, "sdqctl"):
                return Holder(pid=pid, command="sdqctl (echo)")
        return None


class EchoAdapter:
    """Drives sessions (Adapter). It has no process of its own, and no power beyond the seam's."""

    name = "echo"
    runtime_pid: int | None = None
    runtime_mark: str | None = None

    def __init__(self, settings: AdapterSettings) -> None:
        self._archive = EchoArchive(settings)
        self._names = KnownNames(self._archive.root, self._archive.get)
        self._open: list[EchoSession] = []

    async def __aenter__(self) -> Self:
        self._archive.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._open:
            await session.close()

    async def create_session(self, config: AdapterConfig) -> AdapterSession:
        """Make a session; one of that name is refused, or resumed when that is asked for."""
        name = config.session_name
        session_id = session_id_for(name) if name else str(uuid.uuid4())
        known = self._archive.get(session_id) or self._names.find(name or session_id)
        if known is not None and config.resume_if_exists:
            return await self.resume_session(known.id, config)
        if known is not None:
            raise SessionExistsError(f"a session named {known.label!r} exists already")
        cwd = _folder(config.working_directory or Path.cwd())
        folder = self._archive.root / session_id
        folder.mkdir(mode=0o700)
        about = {"name": name, "cwd": str(cwd), "made": datetime.now(UTC).isoformat()}
        (folder / ABOUT).write_text(json.dumps(about))
        (folder / JOURNAL).touch(mode=0o600)
        return self._opened(session_id, config, cwd)

    async def resume_session(self, session_id: str, config: AdapterConfig) -> AdapterSession:
        """Open a session with its history."""
        info = self._archive.get(session_id)
        if info is None:
            raise SessionNotFoundError(f"the echo has no session {session_id!r}")
        cwd = _folder(config.working_directory or Path(info.cwd or "."))
        return self._opened(session_id, config, cwd)

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """All sessions."""
        return list(self._archive.sessions())

    async def get_session(self, session_id: str) -> SessionInfo | None:
        """One session."""
        return self._archive.get(session_id)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session that nobody else has open."""
        if self._archive.get(session_id) is None:
            raise SessionNotFoundError(f"the echo has no session {session_id!r}")
        holder = self._archive.holder(session_id)
        if holder is not None and holder.pid != os.getpid():
            raise SessionBusyError(f"session {session_id!r} is open in {holder.describe()}")
        shutil.rmtree(self._archive.root / session_id)

    async def check(self) -> Health:
        """It is always there."""
        return Health(adapter=self.name, installed=True, version="1.0", signed_in=True)

    def _opened(self, session_id: str, config: AdapterConfig, cwd: Path) -> EchoSession:
        info = self._archive.get(session_id)
        assert info is not None, "it was just made or found"
        session = EchoSession(info, self._archive.root / session_id, config, cwd)
        self._open.append(session)
        return session


class EchoSession:
    """One open session (AdapterSession)."""

    def __init__(self, info: SessionInfo, folder: Path, config: AdapterConfig, cwd: Path) -> None:
        self.info = info
        self._config = config
        self._cwd = cwd
        self._journal = folder / JOURNAL
        self._counter = TurnCounter(self._journal)
        self._mark = folder / f"inuse.{os.getpid()}.lock"
        self._mark.touch(mode=0o600)
        self._stop = asyncio.Event()
        self._running = False

    def journal_position(self) -> int:
        """How many turns the journal holds."""
        return self._counter.count()

    async def send(self, prompt: str, *, turn_id: str) -> AsyncIterator[TurnEvent]:
        """Say again what was said; each event is in the journal before it is told."""
        self._running = True
        self._stop.clear()
        message_id = str(uuid.uuid4())
        try:
            yield PromptAccepted(turn_id=turn_id, message_id=message_id)
            self._write("user.message", content=prompt, messageId=message_id)
            yield PromptStored(turn_id=turn_id, message_id=message_id)
            async for event in self._answer(prompt.strip().splitlines()[-1], turn_id, message_id):
                yield event
        finally:
            self._running = False

    async def _answer(self, line: str, turn_id: str, message_id: str) -> AsyncIterator[TurnEvent]:
        tools: tuple[ToolCall, ...] = ()
        failed: tuple[FailureKind, str] | None = None
        if line == "refuse":
            failed = FailureKind.REQUEST, "the echo refuses that"
            self._write("session.error", message=failed[1])
        elif line == "wait":
            await self._stop.wait()
            failed = FailureKind.ABORTED, "the turn was aborted"
            self._write("abort", reason="user_initiated")
        elif line.startswith("write "):
            async for event in self._write_file(line.removeprefix("write "), turn_id):
                tools = (event.call,) if isinstance(event, ToolFinished) else tools
                yield event
            line = "written"
        if failed is not None:
            kind, message = failed
            yield TurnFailed(turn_id=turn_id, kind=kind, message=message, message_id=message_id)
            return
        self._write("assistant.message", content=line, originatingMessageId=message_id)
        self._write("assistant.turn_end")
        yield MessageAdded(turn_id=turn_id, text=line, final=True)
        yield TurnFinished(
            turn_id=turn_id,
            response=line,
            message_id=message_id,
            tools=tools,
            usage=Usage(model_calls=1),
        )

    async def _write_file(self, target: str, turn_id: str) -> AsyncIterator[TurnEvent]:
        call = ToolCall(id=str(uuid.uuid4()), name="write", summary=target)
        self._write("tool.execution_start", toolCallId=call.id, toolName=call.name)
        yield ToolStarted(turn_id=turn_id, call=call)
        request = ToolRequest(kind=ToolKind.WRITE, target=str(self._cwd / target))
        decision = await evaluate(self._config.policy, request)
        yield _told(turn_id, call, request, decision)
        if decision.allowed:
            (self._cwd / target).write_text("written by the echo\n", "utf-8")
        call = ToolCall(
            id=call.id,
            name="write",
            summary=target,
            ok=decision.allowed,
            denied=not decision.allowed,
        )
        error = None if decision.allowed else {"code": "denied"}
        self._write("tool.execution_complete", toolCallId=call.id, success=call.ok, error=error)
        yield ToolFinished(turn_id=turn_id, call=call)

    async def find_turn(self, begun: TurnBegun) -> TurnOutcome | None:
        """Look a turn up in the journal."""
        turn = find_turn(self._journal, begun)
        return None if turn is None else turn_outcome(turn)

    async def abort(self) -> None:
        """Stop the running turn; one whose consumer went away has its end written here."""
        self._stop.set()
        if not self._running:
            turns = list(read_turns(self._journal))
            if turns and not turns[-1].finished and turns[-1].error is None:
                self._write("abort", reason="user_initiated")

    async def close(self) -> None:
        """Release the session."""
        self._mark.unlink(missing_ok=True)

    def _write(self, kind: str, **data: object) -> None:
        now = datetime.now(UTC).isoformat()
        event = {"type": kind, "id": str(uuid.uuid4()), "timestamp": now, "data": data}
        line = json.dumps(event, separators=(",", ":")) + "\n"
        with self._journal.open("a", encoding="utf-8") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())


def _told(
    turn_id: str, call: ToolCall, request: ToolRequest, decision: ToolDecision
) -> PermissionDecided:
    return PermissionDecided(
        turn_id=turn_id,
        kind=request.kind,
        target=request.target,
        allowed=decision.allowed,
        reason=decision.reason,
        by=decision.by,
        why=decision.why,
        rules=decision.rules,
        mode=decision.mode,
        tool_call_id=call.id,
    )


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise SessionUnusableError(f"the session's working directory is not there: {path}")
    return path.resolve()


ECHO = EchoEntry()

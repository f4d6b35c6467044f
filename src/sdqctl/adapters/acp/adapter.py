"""An agent as an adapter: one process a session, over stdio."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sdqctl.adapters.acp.archive import (
    AcpArchive,
    Metadata,
    finish_cut,
    read_metadata,
    sessions_folder,
    write_metadata,
)
from sdqctl.adapters.acp.checks import require_checked
from sdqctl.adapters.acp.client import AgentClient
from sdqctl.adapters.acp.modes import set_mode, set_model
from sdqctl.adapters.acp.ports import next_port
from sdqctl.adapters.acp.process import AgentProcess, AgentRefusedError, require_library, start
from sdqctl.adapters.acp.profiles import PORT, Profile
from sdqctl.adapters.acp.program import (
    delete_by_program,
    find_program,
    program_version,
    require_program,
)
from sdqctl.adapters.acp.provider import require_reachable
from sdqctl.adapters.acp.replay import Replay, drop_last, reconcile
from sdqctl.adapters.acp.repository import refuse_untrusted
from sdqctl.adapters.acp.session import AcpSession, Line
from sdqctl.adapters.acp.way_back import RewindingSession
from sdqctl.adapters.base import AdapterConfig, AdapterSession, Capability, Health, capabilities_of
from sdqctl.adapters.files import remove_folder
from sdqctl.adapters.folders import JOURNAL
from sdqctl.adapters.journal import read_turns
from sdqctl.adapters.journal_writer import write_event
from sdqctl.adapters.names import KnownNames
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import (
    RuntimeMissingError,
    SandboxError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.fs import make_private_folder
from sdqctl.model.session import SessionInfo, name_taken, session_id_for
from sdqctl.model.tools import ToolKind, may_allow
from sdqctl.offspring import MARK, end_offspring, new_mark
from sdqctl.text.commands import on_session

if TYPE_CHECKING:
    from acp.schema import LoadSessionResponse, NewSessionResponse

_ACTING = (ToolKind.WRITE, ToolKind.SHELL)


class AcpAdapter:
    """Adapter and Renames."""

    def __init__(self, name: str, profile: Profile, settings: AdapterSettings) -> None:
        self.name = name
        self._profile = profile
        self._settings = settings
        self._root = sessions_folder(settings, name)
        self._archive = AcpArchive(name, settings)
        self._names = KnownNames(self._root, self._archive.get)
        self._mark: str | None = None
        self._idle: tuple[AgentProcess, AgentClient] | None = None
        """A process that has no session yet."""
        self._first_pid: int | None = None
        self._agents: list[AgentProcess] = []
        self._deleted: dict[str, str] = {}
        """The agent's own ids of sessions that were deleted here."""

    async def __aenter__(self) -> Self:
        make_private_folder(self._root)
        self._mark = new_mark()
        self._idle = await self._start()
        self._first_pid = self._idle[0].pid
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mark, self._mark = self._mark, None
        agents, self._agents, self._idle = self._agents, [], None
        try:
            for agent in agents:
                await agent.end()
        finally:
            if mark is not None:
                await asyncio.to_thread(end_offspring, mark)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The powers that it has."""
        return capabilities_of(type(self), AcpSession)

    @property
    def runtime_pid(self) -> int | None:
        """The first process; the others have the same mark."""
        return self._first_pid if self._mark is not None else None

    @property
    def runtime_mark(self) -> str | None:
        """The mark of the agent's processes and its tools'."""
        return self._mark

    async def _start(self) -> tuple[AgentProcess, AgentClient]:
        program = require_program(self._profile, self._settings.environment)
        sandbox = self._settings.sandbox
        require_reachable(self.name, self._profile, self._settings.environment, sandbox)
        client = AgentClient(self._profile.declares)
        environment = {
            **self._settings.environment,
            **self._profile.environment,
            MARK: self._mark or "",
        }
        given = (str(next_port()) if word == PORT else word for word in self._profile.command[1:])
        arguments = [str(program), *given]
        agent = await start(self.name, arguments, environment, sandbox, client)
        self._agents.append(agent)
        return agent, client

    async def process(self) -> tuple[AgentProcess, AgentClient]:
        """A process for one session."""
        idle, self._idle = self._idle, None
        return idle or await self._start()

    async def create_session(self, config: AdapterConfig) -> AdapterSession:
        """Create a session; an existing id or name is refused, or resumed when asked for."""
        name = config.session_name
        session_id = session_id_for(name) if name else str(uuid.uuid4())
        existing = self._archive.get(session_id) or self._names.find(name or session_id)
        if existing is not None:
            if config.resume_if_exists:
                return await self.resume_session(existing.id, config)
            raise name_taken(existing, hint="choose another name, or resume it")
        cwd = _folder(config.working_directory or Path.cwd())
        folder = self._root / session_id
        folder.mkdir(mode=0o700, exist_ok=True)  # a killed process may have left it empty
        metadata = Metadata(name=name, cwd=str(cwd), created_at=datetime.now(UTC))
        write_metadata(folder, metadata)
        write_event(folder / JOURNAL, "session.start", {"sessionId": session_id, "cwd": str(cwd)})
        try:
            return await self._open(session_id, metadata, config)
        except BaseException:
            shutil.rmtree(folder)
            raise

    async def resume_session(self, session_id: str, config: AdapterConfig) -> AdapterSession:
        """Open an existing session, in the folder that it was made in."""
        info = self._archive.get(session_id)
        if info is None:
            raise SessionNotFoundError(f"there is no {self.name} session {session_id!r}")
        if info.damage is not None:
            raise SessionUnusableError(f"session {info.label!r} cannot be resumed: {info.damage}")
        metadata = read_metadata(self._root / session_id)
        if not Path(metadata.cwd).is_dir():  # agents want the folder that it was begun in
            self._refuse_to_move(info.label, metadata.cwd)
            metadata.cwd = str(_folder(config.working_directory or Path(metadata.cwd)))
        return await self._open(session_id, metadata, config)

    def _refuse_to_move(self, label: str, cwd: str) -> None:
        if not self._profile.moves:
            raise SessionUnusableError(
                f"{self._profile.title} goes on with session {label!r} in its own folder alone, "
                f"which is not there any more: {cwd}",
                hint="put the folder back where it was, or start a new session",
            )

    async def _open(
        self, session_id: str, metadata: Metadata, config: AdapterConfig
    ) -> AdapterSession:
        if not config.trust_repository:
            refuse_untrusted(self.name, Path(metadata.cwd))
        connect = partial(self._connect, session_id, metadata, config)
        line = await connect()
        info = self._archive.get(session_id)
        assert info is not None, "the session was just made or found"
        folder = self._root / session_id
        kind = RewindingSession if config.keep_way_back and self._profile.forks else AcpSession
        session = kind(info, folder, line, connect=connect, profile=self._profile, config=config)
        if isinstance(session, RewindingSession):
            session.metadata = metadata
            session.forget = self._forget if self._profile.forget else None
        return session

    def _forget(self, agent_id: str) -> None:
        """Have the agent's program delete its own copy. Raises RuntimeFailure."""
        settings = self._settings
        delete_by_program(
            self.name, self._profile, settings.environment, settings.sandbox, agent_id
        )

    async def _connect(self, session_id: str, metadata: Metadata, config: AdapterConfig) -> Line:
        """Make or load the agent's own session, and apply what it runs with."""
        agent, client = await self.process()
        try:
            if not any(may_allow(config.policy, kind) for kind in _ACTING):
                require_checked(self._settings.data_dir, self.name, agent.version)
            loaded = await self._load(session_id, metadata, agent, client)
            opened = loaded or await self._make(session_id, metadata, agent)
            agent_id = metadata.agent_id or ""
            if self._profile.mode is not None:
                await set_mode(agent, agent_id, opened, self._profile.mode, name=self.name)
            if config.model is not None:
                await set_model(agent, agent_id, opened, config.model, name=self.name)
            self._note(session_id, metadata, agent, config)
        except BaseException:
            await agent.end()
            raise
        return Line(agent, client, agent_id)

    async def _make(
        self, session_id: str, metadata: Metadata, agent: AgentProcess
    ) -> NewSessionResponse:
        asking = agent.connection.new_session(cwd=metadata.cwd, mcp_servers=[])
        made: NewSessionResponse = await agent.ask(asking, "make a session")
        metadata.agent_id = made.session_id
        return made

    async def _load(
        self, session_id: str, metadata: Metadata, agent: AgentProcess, client: AgentClient
    ) -> LoadSessionResponse | None:
        """Load the agent's session, and hold our journal against what it replays.

        None where there is nothing to load: agents forget a session in which nothing was said, and
        some a first prompt that was cut off. It is loaded also where it could be resumed: only a
        replay shows that the conversation is there.
        """
        folder = self._root / session_id
        finish_cut(folder, metadata)
        turns = list(read_turns(folder / JOURNAL))
        if metadata.agent_id is None or not turns:
            return None
        await asyncio.sleep(self._until_safe(metadata))
        replay = Replay()
        client.on_update = replay.take
        try:
            loading = agent.connection.load_session(
                cwd=metadata.cwd, session_id=metadata.agent_id, mcp_servers=[]
            )
            loaded: LoadSessionResponse = await agent.ask(loading, "load the session")
        except AgentRefusedError as error:
            had = any(turn.finished or turn.error is not None for turn in turns)
            if had or metadata.agent_id in await self._listed(agent, metadata):
                name = metadata.name or session_id
                raise SessionUnusableError(
                    f"session {name!r}: {error.message}",
                    hint=f"`{on_session('sessions show', name)}` shows what sdqctl kept of it",
                ) from error
            drop_last(folder, turns)
            return None
        await replay.complete(expects=any(turn.finished for turn in turns), open_end=turns[-1])
        reconcile(folder, replay, who=self._profile.title or self.name)
        return loaded

    async def _listed(self, agent: AgentProcess, metadata: Metadata) -> set[str]:
        """The ids of the sessions in the folder that the agent lists, none where it lists none."""
        if not agent.can("list"):
            return set()
        asking = agent.connection.list_sessions(cwd=metadata.cwd)
        listed = await agent.ask(asking, "list its sessions")
        return {one.session_id for one in listed.sessions}

    def _until_safe(self, metadata: Metadata) -> float:
        if not self._profile.loads_after:
            return 0.0
        age = time.time() - metadata.created_at.timestamp()
        return max(0.0, self._profile.loads_after - age)

    def _note(
        self, session_id: str, metadata: Metadata, agent: AgentProcess, config: AdapterConfig
    ) -> None:
        metadata.model = config.model or metadata.model
        metadata.agent_version = agent.version
        write_metadata(self._root / session_id, metadata)

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """All sessions that sdqctl made with this agent."""
        return list(self._archive.sessions())

    async def get_session(self, session_id: str) -> SessionInfo | None:
        """One session."""
        return self._archive.get(session_id)

    async def delete_session(self, session_id: str) -> None:
        """Delete what sdqctl keeps of it; the agent's own copy stays until it is purged."""
        if self._archive.get(session_id) is None:
            raise SessionNotFoundError(f"there is no {self.name} session {session_id!r}")
        with suppress(SessionUnusableError):
            self._deleted[session_id] = read_metadata(self._root / session_id).agent_id or ""
        remove_folder(self._root / session_id)

    async def check(self) -> Health:
        """Whether the program and the protocol's library are there."""
        program = find_program(self._profile, self._settings.environment)
        if program is None:
            return Health(
                adapter=self.name,
                installed=False,
                problem=f"there is no program {self._profile.program!r} on PATH",
                hint=f"install it: {self._profile.install}" if self._profile.install else None,
            )
        settings = self._settings
        version, problem, hint = None, None, None
        try:
            version, problem = await asyncio.to_thread(
                program_version, program, self._profile, settings.environment, settings.sandbox
            )
        except SandboxError as error:
            problem, hint = error.message, error.hint
        try:
            require_library()
        except RuntimeMissingError as error:
            problem, hint = error.message, error.hint
        return Health(
            adapter=self.name,
            installed=True,
            version=version,
            runtime_path=str(program),
            found_by="PATH",
            problem=problem,
            hint=hint,
        )

    async def rename_session(self, session_id: str, name: str) -> None:
        """Give a session another name, which the agent never knows."""
        if self._archive.get(session_id) is None:
            raise SessionNotFoundError(f"there is no {self.name} session {session_id!r}")
        metadata = read_metadata(self._root / session_id)
        metadata.name = name
        write_metadata(self._root / session_id, metadata)
        self._names.forget(session_id)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise SessionUnusableError(
            f"the session's working directory is not there any more: {path}",
            hint="give another one with --cwd DIR; some agents refuse it",
        )
    return path.resolve()

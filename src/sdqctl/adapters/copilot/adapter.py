"""The GitHub Copilot runtime as an adapter: one process over stdio, many sessions in it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from sdqctl.adapters.base import (
    AdapterConfig,
    AdapterSession,
    Capability,
    Health,
    SignIn,
    ToolNames,
    capabilities_of,
)
from sdqctl.adapters.copilot.account import opening_error, refuse_nobody, sign_in
from sdqctl.adapters.copilot.disk import CopilotArchive
from sdqctl.adapters.copilot.equipment import require_servers
from sdqctl.adapters.copilot.health import check_health
from sdqctl.adapters.copilot.history_store import purge
from sdqctl.adapters.copilot.needs import session_sandbox
from sdqctl.adapters.copilot.options import session_options, with_repository
from sdqctl.adapters.copilot.prestart import LOG_LEVEL, adopting, give_up, import_sdk, start_early
from sdqctl.adapters.copilot.probe import runtime_tools
from sdqctl.adapters.copilot.process import RuntimeProcess, pass_over_unreadable
from sdqctl.adapters.copilot.provider import provider_from
from sdqctl.adapters.copilot.repository import repository_options, stray_instruction
from sdqctl.adapters.copilot.runtime import (
    require_runtime,
    runtime_environment,
)
from sdqctl.adapters.copilot.session import CopilotSession
from sdqctl.adapters.copilot.settings import copilot_home
from sdqctl.adapters.copilot.toolbox import KNOWN_TOOLS, TRUSTED_TOOLS, unknown_tools
from sdqctl.adapters.names import KnownNames
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import (
    RuntimeFailure,
    RuntimeMissingError,
    SandboxError,
    SdqctlError,
    SessionBusyError,
    SessionNotFoundError,
    SessionUnusableError,
)
from sdqctl.model.sandbox import Confined
from sdqctl.model.session import SessionInfo, name_taken, session_id_for
from sdqctl.offspring import MARK, end_offspring, new_mark

if TYPE_CHECKING:
    from copilot import CopilotClient
    from copilot.client import SessionMetadata

_Answer = TypeVar("_Answer")
_LOG = logging.getLogger(__name__)
_START = 60.0
"""Seconds the runtime is given to start; the first start on a machine unpacks 235 MB."""
_STOP = 5.0
_OFFLINE = "Offline mode requires"
"""What the runtime says when it does not start for want of a provider (1.0.102)."""


class CopilotAdapter:
    """Drives sessions of the Copilot runtime. Enter it to start the runtime."""

    name = "copilot"

    def __init__(self, settings: AdapterSettings) -> None:
        self._settings = settings
        self._home = copilot_home(settings)
        self._archive = CopilotArchive(settings)
        self._names = KnownNames(self._home / "session-state", self._archive.get)
        self._running: CopilotClient | None = None
        self._process: RuntimeProcess | None = None
        self._mark: str | None = None
        self._signed_in = False

    async def __aenter__(self) -> Self:
        program = require_runtime(self._settings)
        try:
            self._running = await self._start(program.path)
        except SandboxError:
            raise
        except Exception as error:
            if _OFFLINE in str(error):
                provider_from(self._settings.environment)
            raise RuntimeFailure(
                f"{program.path} does not start as the Copilot runtime: {error or 'no answer'}",
                hint="`sdqctl status --adapters` shows which runtime was found and by what",
            ) from error
        # The SDK has no public names for its child process and the thread that reads from it;
        # their deaths must be seen: a call waits for its time-out otherwise.
        reader = getattr(self._client._client, "_read_thread", None)
        child = self._client._cli_process
        assert child is not None, "the client started it, or was given it"
        self._process = RuntimeProcess(child, reader, self._mark)
        _LOG.debug("%s (%s) is process %s", program.path, program.found_by, self._process.pid)
        return self

    @property
    def _client(self) -> CopilotClient:
        if self._running is None:
            raise RuntimeError("the adapter was not started")
        return self._running

    async def _start(self, program: Path) -> CopilotClient:
        """A client whose runtime runs: started early, or by the SDK if that is not its way."""
        self._mark = new_mark()
        environment = {**runtime_environment(self._settings), MARK: self._mark}
        asyncio.get_running_loop().set_exception_handler(pass_over_unreadable)
        process = start_early(program, environment, self._settings.sandbox)
        try:
            client_type, connection_to = import_sdk()
            early = adopting(client_type, process)
            inside = Confined(arguments=(str(program),), environment=environment)
            if early is None:
                give_up(process)
                inside = self._settings.sandbox.launcher(inside.arguments, environment)
            first, *more = inside.arguments
            client = (early or client_type)(
                connection=connection_to(path=first, args=more),
                env=dict(inside.environment),
                log_level=LOG_LEVEL,
            )
            async with asyncio.timeout(_START):
                await client.start()
        except BaseException:
            give_up(process)
            raise
        return client

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        client, self._running = self._running, None
        process, self._process = self._process, None
        mark, self._mark = self._mark, None
        if client is None or process is None or mark is None:
            return
        try:
            process.check()
            async with asyncio.timeout(_STOP):
                await client.stop()
        except Exception as error:  # noqa: BLE001 - stop() raises groups
            _LOG.debug("stop: %s", error)
            with suppress(Exception):
                await client.force_stop()
        finally:
            process.close_pipes()
            await asyncio.to_thread(end_offspring, mark)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The powers that it has."""
        return capabilities_of(type(self), CopilotSession)

    @property
    def runtime_pid(self) -> int | None:
        """The runtime's process while it runs."""
        return self._process.pid if self._process else None

    @property
    def runtime_mark(self) -> str | None:
        """The mark of the runtime's processes and its tools', while it runs."""
        return self._mark

    async def create_session(self, config: AdapterConfig) -> AdapterSession:
        """Create a session; an existing id or name is refused, or resumed when asked for."""
        name = config.session_name
        session_id = session_id_for(name) if name else str(uuid.uuid4())
        existing = await self._find(session_id, name)
        if existing is not None:
            if config.resume_if_exists:
                return await self.resume_session(existing.id, config)
            raise name_taken(existing, hint="choose another name, or resume it")
        await self._require_account()
        folder = _folder(config.working_directory or Path.cwd())
        info = SessionInfo(id=session_id, adapter=self.name, name=name, cwd=str(folder))
        return await self._open(info, config, folder, create=True)

    async def resume_session(self, session_id: str, config: AdapterConfig) -> AdapterSession:
        """Open an existing session with its history; everything in `config` is applied again.

        Raises AuthenticationError when nobody is signed in, and what the Protocol says.
        """
        await self._require_account()
        return await self._resume(session_id, config)

    async def _resume(self, session_id: str, config: AdapterConfig) -> AdapterSession:
        info = await self.get_session(session_id)
        if info is None:
            raise SessionNotFoundError(f"the Copilot runtime has no session {session_id!r}")
        if info.is_remote:
            raise SessionUnusableError(
                f"session {info.label!r} runs remotely and cannot be resumed from here"
            )
        folder = _folder(config.working_directory or Path(info.cwd or Path.cwd()))
        return await self._open(info, config, folder, create=False)

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """All sessions, as the SDK lists them."""
        found = await self._ask(self._client.list_sessions(), "list its sessions")
        return [self._info(entry) for entry in found]

    async def get_session(self, session_id: str) -> SessionInfo | None:
        """One session; what the SDK does not report is read from disk."""
        found = await self._ask(self._client.get_session_metadata(session_id), "tell of a session")
        return self._info(found) if found is not None else self._archive.get(session_id)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session through the runtime. Raises SessionBusyError when it is in use."""
        if self._archive.get(session_id) is None:
            raise SessionNotFoundError(f"the Copilot runtime has no session {session_id!r}")
        holder = self._archive.holder(session_id)
        if holder is not None and holder.pid != self.runtime_pid:
            raise SessionBusyError(f"session {session_id!r} is open in {holder.describe()}")
        try:
            await self._call(self._client.delete_session(session_id))
        except RuntimeError as error:
            raise SessionUnusableError(f"session {session_id!r}: {error}") from error

    async def fork_session(
        self, session_id: str, name: str, *, before_event: str | None = None
    ) -> SessionInfo:
        """Copy a session, up to an event; the runtime chooses the copy's id (Forks)."""
        from copilot.generated import rpc

        request = rpc.SessionsForkRequest(
            session_id=session_id, name=name, to_event_id=before_event
        )
        try:
            result = await self._call(self._client.rpc.sessions.fork(request))
        except SdqctlError:
            raise
        except Exception as error:
            raise SessionUnusableError(
                f"session {session_id!r} cannot be forked: {error}"
            ) from error
        info = await self.get_session(str(result.session_id))
        return info or SessionInfo(id=str(result.session_id), adapter=self.name, name=name)

    async def rename_session(self, session_id: str, name: str) -> None:
        """Give a closed session another name (Renames)."""
        from copilot.generated import rpc

        session = await self._resume(session_id, AdapterConfig())
        try:
            request = rpc.NameSetRequest(name=name)
            await self._ask(session._sdk.rpc.name.set(request), "rename the session")  # type: ignore[attr-defined]
            self._names.forget(session_id)
        finally:
            await session.close()

    async def purge_session(self, session_id: str) -> None:
        """Remove the text that the runtime's own store keeps of a session (Purges)."""
        await asyncio.to_thread(purge, self._home, session_id)

    def check_equipment(self, config: AdapterConfig) -> None:
        """The runtime has all of it (Equips)."""

    async def list_models(self) -> Sequence[str]:
        """The account's models; a provider of one's own has the configured one (ListsModels)."""
        if provider_from(self._settings.environment) is not None:
            model = self._settings.environment.get("COPILOT_MODEL")
            return [model] if model else []
        await self._require_account()
        found = await self._ask(self._client.list_models(), "list its models")
        return [model.id for model in found]

    async def _require_account(self) -> None:
        """Raise AuthenticationError when no model can answer, for nobody is signed in."""
        if not self._signed_in and provider_from(self._settings.environment) is None:
            status = await self._ask(self._client.get_auth_status(), "tell who is signed in")
            self._signed_in = bool(status.isAuthenticated)
            if not self._signed_in:
                refuse_nobody(self._settings)

    async def list_tools(self) -> ToolNames:
        """What sessions are given of the runtime's tools; starts a runtime to ask (ListsTools)."""
        known = tuple(sorted((*KNOWN_TOOLS, *TRUSTED_TOOLS)))
        try:
            program = require_runtime(self._settings)
            environment = runtime_environment(self._settings)
            found = await asyncio.to_thread(
                runtime_tools, program.path, environment, self._settings.sandbox
            )
        except (RuntimeMissingError, SandboxError):
            return ToolNames(known=known)
        return ToolNames(
            known=known, unknown=None if found is None else tuple(unknown_tools(found))
        )

    def sign_in(self) -> SignIn:
        """The runtime's `login` (SignsIn)."""
        return sign_in(self._settings)

    async def check(self) -> Health:
        """What is installed, and which model would answer; starts nothing but `--version`."""
        return await check_health(self._settings)

    async def _open(
        self, info: SessionInfo, config: AdapterConfig, folder: Path, *, create: bool
    ) -> AdapterSession:
        sessions: list[CopilotSession] = []
        brought = repository_options(folder, trusted=config.trust_repository, create=create)
        own = session_options(config, self._settings, info, folder, sessions)
        options = with_repository(own, brought)
        stray = None if config.trust_repository else stray_instruction(folder)
        if stray is not None:
            options["skip_custom_instructions"] = True
        if self._settings.sandbox.kind == "runtime":
            options["sandbox_config"] = session_sandbox(self._settings.sandbox)
        if create:
            options["session_id"] = info.id
            if config.session_name:
                options["name"] = config.session_name
            call = self._client.create_session(**options)
        else:
            call = self._client.resume_session(info.id, **options)
        try:
            sdk = await self._call(call)
        except SdqctlError:
            raise
        except Exception as error:
            verb = "created" if create else "resumed"
            raise opening_error(f"session {info.label!r} cannot be {verb}", error) from error
        assert self._process is not None, "a session is opened in a started adapter"
        session = CopilotSession(sdk, info, self._process, self._client)
        session.bind_sandbox(self._settings.sandbox, folder)
        session.bind_journal(self._home / "session-state" / info.id / "events.jsonl")
        session.steer(options, unsure=config.steered and not create)
        await require_servers(session, config)
        if stray is not None:
            session.warn(f"no instructions are read: {stray} leads out of the repository")
        sessions.append(session)
        return session

    async def _find(self, session_id: str, name: str | None) -> SessionInfo | None:
        existing = await self.get_session(session_id)
        if existing is not None or name is None:
            return existing
        return self._names.find(name)

    async def _ask(self, awaitable: Awaitable[_Answer], what: str) -> _Answer:
        if self._process is None:
            raise RuntimeError("the adapter was not started")
        return await self._process.ask(awaitable, what, _START)

    async def _call(self, awaitable: Awaitable[_Answer]) -> _Answer:
        if self._process is None:
            raise RuntimeError("the adapter was not started")
        return await self._process.call(awaitable, _START)

    def _info(self, entry: SessionMetadata) -> SessionInfo:
        """The SDK's entry, with the name and client that stand on disk alone."""
        disk = self._archive.get(entry.session_id)
        context = entry.context
        return SessionInfo(
            id=entry.session_id,
            adapter=self.name,
            name=disk.name if disk else None,
            summary=disk.summary if disk else entry.summary,
            start_time=entry.start_time.astimezone(UTC),
            modified_time=entry.modified_time.astimezone(UTC),
            is_remote=entry.is_remote,
            client=disk.client if disk else None,
            model=disk.model if disk else None,
            cwd=context.working_directory if context else None,
            repository=context.repository if context else None,
            branch=context.branch if context else None,
            stored=disk.stored if disk else True,
            damage=disk.damage if disk else None,
        )


def _folder(path: Path) -> Path:
    """The working directory; the runtime would silently work elsewhere if it is gone."""
    if not path.is_dir():
        raise SessionUnusableError(
            f"the session's working directory is not there any more: {path}",
            hint="give another one with --cwd DIR",
        )
    return path.resolve()

"""One agent's process: started in its net, spoken to over stdio, and ended with all it started."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sdqctl import __version__
from sdqctl.errors import (
    AuthenticationError,
    RuntimeDiedError,
    RuntimeFailure,
    RuntimeMissingError,
)
from sdqctl.model.sandbox import Sandbox

if TYPE_CHECKING:
    from acp import ClientSideConnection
    from acp.schema import AgentCapabilities, InitializeResponse

    from sdqctl.adapters.acp.client import AgentClient

_Answer = TypeVar("_Answer")
_LOG = logging.getLogger(__name__)
_START = 60.0
"""Seconds for `initialize`: one agent took eleven on a busy machine."""
_CALL = 60.0
"""Seconds for an answer that needs no model."""
_LAST_WORDS = 0.5
_GRACE = 1.0
"""Seconds between asking to end and killing."""
_ERROR_SHOWN = 300
_LINE = 64 * 1024 * 1024
"""The longest message, in bytes."""
_PROTOCOL = 1
AUTH_REQUIRED = -32000


class AgentRefusedError(RuntimeFailure):
    """The agent answered with an error: it is there, and does not do what it was asked."""


class AgentProcess:
    """The process and the connection to it. Made by `start`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self._last_error = ""
        self._errors = asyncio.ensure_future(self._read_errors())
        self._connection: ClientSideConnection | None = None
        self._initialized: InitializeResponse | None = None
        self._ended = False

    @property
    def pid(self) -> int:
        """The process, which leads a group of its own."""
        return self._process.pid

    @property
    def connection(self) -> ClientSideConnection:
        """What the agent is asked through."""
        assert self._connection is not None, "the process was started"
        return self._connection

    @property
    def version(self) -> str | None:
        """The version that the agent says it has."""
        info = self._initialized.agent_info if self._initialized else None
        return info.version if info else None

    @property
    def capabilities(self) -> AgentCapabilities:
        """What the agent says it can do."""
        from acp.schema import AgentCapabilities

        found = self._initialized.agent_capabilities if self._initialized else None
        return found or AgentCapabilities()

    def can(self, method: str) -> bool:
        """Whether it has a method of sessions: `list`, `resume`, `fork`, `close`, `delete`."""
        return getattr(self.capabilities.session_capabilities, method, None) is not None

    async def initialize(self, client: AgentClient) -> None:
        """Speak to it for the first time. Raises RuntimeFailure and its kinds."""
        from acp import Client, connect_to_agent
        from acp.schema import (
            ClientCapabilities,
            ElicitationCapabilities,
            ElicitationFormCapabilities,
            Implementation,
        )

        _silence_library()
        self._connection = connect_to_agent(
            cast("Client", client),  # of whose methods it has those that are offered
            self._process.stdin,
            self._process.stdout,
            use_unstable_protocol=True,  # of which the questions are
        )
        own = Implementation(name="sdqctl", version=__version__)
        ours = ClientCapabilities(
            elicitation=ElicitationCapabilities(form=ElicitationFormCapabilities()),
            field_meta=dict(client.declares) or None,
        )
        asking = self.connection.initialize(_PROTOCOL, ours, own)
        answer: InitializeResponse = await self.ask(asking, "start", _START)
        self._initialized = answer
        if answer.protocol_version != _PROTOCOL:
            raise RuntimeFailure(
                f"{self._name} speaks version {answer.protocol_version} of the protocol",
                hint=f"sdqctl speaks version {_PROTOCOL}",
            )

    async def ask(
        self, awaitable: Awaitable[_Answer], what: str, limit: float | None = _CALL
    ) -> _Answer:
        """Await an answer.

        Raises RuntimeDiedError when the agent ended, AuthenticationError when it wants somebody
        to sign in, RuntimeFailure for any other error and for silence.
        """
        from acp import RequestError

        try:
            async with asyncio.timeout(limit):
                return await awaitable
        except TimeoutError as error:
            raise RuntimeFailure(
                f"{self._name} did not {what} within {limit:.0f} s",
                hint=f"`sdqctl agents check {self._name}` tries it",
            ) from error
        except ConnectionError as error:
            raise await self.death() from error
        except RequestError as error:
            if error.code == AUTH_REQUIRED:
                raise AuthenticationError(
                    f"{self._name} wants somebody to sign in: {error}",
                    hint="sign in with the agent's own program, then try again",
                ) from error
            raise AgentRefusedError(f"{self._name} could not {what}: {error}") from error

    async def request(self, method: str, **parameters: object) -> Any:  # noqa: ANN401 - JSON
        """Call a method that the library does not have (0.12.1: `session/delete`)."""
        return await self.connection._conn.send_request(method, parameters)

    async def death(self) -> RuntimeDiedError:
        """What is raised when the connection broke: with its last words, if it had any."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._process.wait()
                await asyncio.wait([self._errors])  # it is cancelled where the agent was ended
        code = self._process.returncode
        how = "closed its output" if code is None else f"ended unexpectedly (exit code {code})"
        last = f": {self._last_error[:_ERROR_SHOWN]}" if self._last_error else ""
        return RuntimeDiedError(f"the agent {self._name} {how}{last}")

    async def _read_errors(self) -> None:
        """Read stderr to its end: an agent whose errors nobody reads stops at a full pipe."""
        assert self._process.stderr is not None, "it was started with a pipe"
        while piece := await self._process.stderr.read(65536):
            lines = [line for line in piece.decode("utf-8", "replace").splitlines() if line.strip()]
            if lines:
                self._last_error = lines[-1].strip()
                _LOG.debug("%s: %s", self._name, self._last_error)

    async def end(self) -> None:
        """End the process and its group, whatever state they are in.

        The group is killed also when its leader has ended: a child of it may go on with the turn.
        """
        if self._ended:
            return
        self._ended = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self._process.wait()
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close()
        self._errors.cancel()
        with suppress(asyncio.CancelledError):
            await self._errors
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()


async def start(
    name: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    sandbox: Sandbox,
    client: AgentClient,
) -> AgentProcess:
    """Start an agent in its net, out of reach of the terminal's Ctrl-C, and speak to it.

    Raises RuntimeMissingError when it cannot be started or the protocol's library is not
    installed, SandboxError when the net cannot be entered, and what `initialize` raises.
    """
    require_library()
    try:
        with sandbox.confine(arguments, environment) as inside:
            process = await asyncio.create_subprocess_exec(
                *inside.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE,
                start_new_session=True,
                env=inside.environment,
                preexec_fn=inside.enter,
            )
    except OSError as error:
        raise RuntimeMissingError(f"{arguments[0]} cannot be started: {error.strerror}") from error
    agent = AgentProcess(name, process)
    try:
        await agent.initialize(client)
    except BaseException:
        await agent.end()
        raise
    return agent


def require_library() -> None:
    """Raise RuntimeMissingError when the protocol's library is not installed."""
    try:
        import acp  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise RuntimeMissingError(
            "agents need the library of the Agent Client Protocol, which is not installed",
            hint="install sdqctl with it: `pipx install 'sdqctl[acp]'`",
        ) from error


def _silence_library() -> None:
    """The library reports what it does not know with tracebacks through the root logger."""
    root = logging.getLogger()
    if not any(isinstance(known, _OfTheLibrary) for known in root.filters):
        root.addFilter(_OfTheLibrary())


class _OfTheLibrary(logging.Filter):
    """Drops the records that `acp` gives to the root logger; the errors reach us anyway."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.name == "root" and f"{os.sep}acp{os.sep}" in record.pathname)

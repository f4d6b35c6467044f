"""The server: its tools and resources, on the official SDK."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from anyio import move_on_after, sleep, to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.types import ToolAnnotations

from sdqctl import __version__
from sdqctl.cli.mcp.bounds import Limits, Owned, Policy, depth_of, offered
from sdqctl.cli.mcp.runs import Runs, shortened
from sdqctl.cli.output import note
from sdqctl.errors import SdqctlError

if TYPE_CHECKING:
    from sdqctl.cli.context import App

__all__ = ["Limits", "serve", "server_of"]

_Result = TypeVar("_Result")
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_POLL = 0.5
_LONGEST_WAIT = 600.0
_MOST_LISTED = 200
_INSTRUCTIONS = (
    "Sessions are conversations with coding agents that are kept; runs of workflows go on in them "
    "in the background, survive kills, and may wait for an answer. Start a workflow or a session, "
    "wait for it with wait_for_run, and read its outcome. What others began can be read, searched "
    "and forked, but not changed."
)


def serve(app: App, workflows: Sequence[str], policy: Mapping[str, object], limits: Limits) -> None:
    """Serve on stdin and stdout until they close. Raises UsageError and WorkflowError for what
    cannot be offered.
    """
    bounds = Policy(**cast("dict[str, Any]", policy))
    bounds.check()
    runs = Runs(
        app,
        offered(app.directory, workflows),
        bounds,
        limits,
        depth_of(os.environ),
        Owned(app.home, bounds),
    )
    # A thread waits for stdin, which no handler ends; there is nothing here to be ended in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdin.isatty():
        note("an agent is to start this, and talks to it on stdin and stdout; Ctrl-C ends it")
    asyncio.run(_on_stdio(server_of(runs)))


async def _on_stdio(server: MCPServer[Any]) -> None:
    """Serve by the handshake that all clients know. The SDK lets the first request decide between
    that and the protocol of 2026; a client that no longer waits for the answer to its probe, while
    the SDK is being imported, would be refused the handshake.
    """
    inner = server._lowlevel_server
    async with stdio_server() as (reads, writes), inner.lifespan(inner) as state:
        options = inner.create_initialization_options()
        await serve_loop(inner, reads, writes, lifespan_state=state, init_options=options)


class _Server(MCPServer[Any]):
    """Looks at what all tools are called with before any of them does something."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:  # noqa: ANN401 - the library's
        """Call a tool. Raises ToolError for an argument that no command line can hold."""
        for argument, value in arguments.items():
            if any("\0" in text for text in _texts(value)):
                raise ToolError(
                    f"usage: {name}: the argument {argument} holds a NUL character (leave it out)"
                )
        return await super().call_tool(name, arguments, context)


def _texts(value: object) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        items = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
        for item in items:
            yield from _texts(item)


def server_of(runs: Runs) -> MCPServer[Any]:
    """The server over these runs."""
    server = _Server("sdqctl", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING")
    _add_reading(server, runs)
    _add_outcomes(server, runs)
    _add_beginning(server, runs)
    _add_transcripts(server, runs)
    return server


async def _done(work: Callable[[], _Result]) -> _Result:
    """Do what blocks beside the server. Raises ToolError with what happened and what to do."""
    try:
        return await to_thread.run_sync(work)
    except SdqctlError as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise ToolError(f"{error.code}: {error.message}{hint}") from error
    except OSError as error:  # such as of an argument that is too long for a command line
        raise ToolError(f"it cannot be done: {error.strerror}") from error


def _add_reading(server: MCPServer[Any], runs: Runs) -> None:
    @server.tool(annotations=_READS)
    async def list_workflows() -> dict[str, Any]:
        """List the workflows that can be started, with their inputs."""
        return {"workflows": await _done(runs.list_workflows)}

    @server.tool(annotations=_READS)
    async def list_sessions(name_glob: str = "*", limit: int = 20) -> dict[str, Any]:
        """List sessions, the last changed first, with their status and run."""
        count = f"--limit={max(1, min(limit, _MOST_LISTED))}"
        found = await _done(lambda: runs.ask("list", f"--filter={name_glob}", count))
        return {"sessions": found}

    @server.tool(annotations=_READS)
    async def show_session(session: str, turns: int = 3) -> dict[str, Any]:
        """Show a session: its runs with their steps, and its last turns."""
        found = await _done(lambda: runs.ask("show", "--", session))
        found["turns"] = [_short(turn) for turn in found["turns"][-turns:]] if turns > 0 else []
        return cast("dict[str, Any]", found)

    @server.tool(annotations=_READS)
    async def search_sessions(text: str, limit: int = 20) -> dict[str, Any]:
        """Find where all words of a text stand in prompts and answers of all sessions."""
        count = f"--limit={max(1, min(limit, _MOST_LISTED))}"
        return {"hits": await _done(lambda: runs.ask("search", count, "--", *text.split()))}


def _add_outcomes(server: MCPServer[Any], runs: Runs) -> None:
    @server.tool(annotations=_READS)
    async def read_outcome(session: str) -> dict[str, Any]:
        """Read how the last run of a session stands: status, question, answer or value, error."""
        return await _done(lambda: runs.outcome(session))

    @server.tool(annotations=_READS)
    async def wait_for_run(session: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until the run of a session ends or waits for an answer, at most so long; then read
        its outcome. A status of `running` says that the time was over first: wait again.
        """
        with move_on_after(max(0.0, min(seconds, _LONGEST_WAIT))):
            while not await _done(lambda: runs.is_over(session)):
                await sleep(_POLL)
        return await _done(lambda: runs.outcome(session))


def _add_beginning(server: MCPServer[Any], runs: Runs) -> None:
    @server.tool()
    async def start_workflow(
        workflow: str, session: str, inputs: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Start one of the workflows of list_workflows in a new session of this name, in the
        background, with values for its inputs.
        """
        return _begun(await _done(lambda: runs.start_workflow(workflow, session, inputs or {})))

    @server.tool()
    async def start_session(session: str, prompt: str) -> dict[str, Any]:
        """Begin a new session of this name with a prompt to its agent, in the background."""
        return _begun(await _done(lambda: runs.start_session(session, prompt)))

    @server.tool()
    async def send_prompt(session: str, prompt: str) -> dict[str, Any]:
        """Send a prompt in a session that was begun or forked here, in the background."""
        return _begun(await _done(lambda: runs.send_prompt(session, prompt)))

    @server.tool()
    async def answer_gate(session: str, answer: str, comment: str = "") -> dict[str, Any]:
        """Answer the question at which a run waits that was started here; it goes on."""
        return _begun(await _done(lambda: runs.go_on(session, answer, comment)))

    @server.tool()
    async def continue_run(session: str) -> dict[str, Any]:
        """Go on with a run that was started here and failed or was interrupted, at that step."""
        return _begun(await _done(lambda: runs.go_on(session)))

    @server.tool()
    async def fork_session(session: str, name: str) -> dict[str, Any]:
        """Copy a session with its conversation under another name, to ask something in the copy."""
        return {"session": await _done(lambda: runs.fork(session, name))}

    @server.tool()
    async def interrupt_run(session: str) -> dict[str, Any]:
        """End the run of a session that was begun here; what was done is kept."""
        return {"session": await _done(lambda: runs.interrupt(session))}


def _add_transcripts(server: MCPServer[Any], runs: Runs) -> None:
    @server.resource(
        "sdqctl://sessions/{session}/transcript",
        name="transcript",
        description="The whole conversation of a session, without what looks like a secret.",
        mime_type="text/markdown",
    )
    async def transcript(session: str) -> str:
        line = ("sessions", "export", "--format=md", "--", session)
        try:
            return await _done(lambda: runs.text(*line))
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from error


def _begun(view: Any) -> dict[str, Any]:  # noqa: ANN401 - a DetachedView
    return {
        "session": view.session.name or view.session.id,
        "run": view.run,
        "next": "wait_for_run waits for its end, or for a question",
    }


def _short(turn: dict[str, Any]) -> dict[str, Any]:
    """A turn of which a model reads all, without what its tools gave."""
    kept = {name: turn[name] for name in ("index", "prompt", "response", "started_at")}
    return {k: shortened(v) if isinstance(v, str) else v for k, v in kept.items()}

"""What the next prompts of an open session run with: model, effort, agent, tools.

None of it needs the session to be opened again (docs/copilot-findings.md, What a prompt runs with).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sdqctl.adapters.copilot.calls import server_prefix
from sdqctl.adapters.copilot.process import RuntimeProcess
from sdqctl.adapters.copilot.toolbox import KNOWN_TOOLS, TRUSTED_TOOLS
from sdqctl.errors import RuntimeDiedError, StepError
from sdqctl.text.suggest import did_you_mean

if TYPE_CHECKING:
    from copilot.session import CopilotSession as SdkSession

_Answer = TypeVar("_Answer")


class Steering:
    """The settings of one session that prompts change, and what it was opened with."""

    def __init__(
        self,
        sdk: SdkSession,
        process: RuntimeProcess,
        options: Mapping[str, Any],
        *,
        unsure: bool,
    ) -> None:
        """`options` are those of the session; `unsure`: an earlier process may have left an effort
        behind, which outlasts it."""
        self._sdk = sdk
        self._process = process
        self._options = options
        self._unsure = unsure
        self._base: tuple[str | None, str] | None = None
        self._model: tuple[str | None, str | None] = (None, None)
        self._agent: str | None = None
        self._tools: Sequence[str] | None = None

    async def switch_model(self, model: str | None, effort: str | None) -> None:
        """Raises StepError for what the runtime does not take."""
        if (model, effort) == self._model and not self._unsure:
            return
        from copilot.generated import rpc

        current = await self._process.ask(self._sdk.rpc.model.get_current(), "tell its model")
        if self._base is None:
            own = self._options.get("model") or current.model_id
            self._base = (own, "" if self._unsure else current.reasoning_effort or "")
        wanted_model, wanted_effort = model or self._base[0], effort or self._base[1]
        if wanted_model and wanted_model != current.model_id:
            switch = self._sdk.set_model(wanted_model)
            await self._take(switch, f"SWITCH-MODEL {wanted_model}", "`sdqctl status --models`")
        if wanted_effort != (current.reasoning_effort or ""):
            request = rpc.ModelSetReasoningEffortRequest(reasoning_effort=wanted_effort)
            change = self._sdk.rpc.model.set_reasoning_effort(request)
            await self._take(change, f"REASONING-EFFORT {wanted_effort}", None)
        self._model, self._unsure = (model, effort), False

    async def select_agent(self, name: str | None) -> None:
        """Raises StepError with the agents that there are."""
        if name == self._agent:
            return
        from copilot.generated import rpc

        if name is None:
            await self._process.ask(self._sdk.rpc.agent.deselect(), "leave its agent")
        else:
            known = await self._process.ask(self._sdk.rpc.agent.list(), "list its agents")
            names = [agent.name for agent in known.agents]
            if name not in names:
                there = f"; there are {', '.join(sorted(names))}" if names else "; there is none"
                near = did_you_mean(name, names)
                raise StepError(
                    f"AGENT {name}: there is no such agent{near or there}",
                    hint="AGENTS-DIR names a folder of them",
                )
            request = rpc.AgentSelectRequest(name=name)
            await self._process.ask(self._sdk.rpc.agent.select(request), f"select {name}")
        self._agent = name

    async def limit_tools(self, only: Sequence[str] | None) -> list[str]:
        """The names that the policy allows none of. Raises StepError for one that nothing has."""
        if only == self._tools:
            return []
        from copilot.generated import rpc

        base: list[str] = self._options["available_tools"]
        wanted = base if only is None else [await self._source(name) for name in only]
        left = [source for source in wanted if _is_among(source, base)]
        request = rpc.SessionUpdateOptionsParams(available_tools=left)
        await self._process.ask(self._sdk.rpc.options.update(request), "limit its tools")
        self._tools = only
        return [source.partition(":")[2] for source in wanted if source not in left]

    async def _source(self, name: str) -> str:
        """A tool in the SDK's form."""
        server, colon, tool = name.partition(":")
        if not colon:
            known = [*KNOWN_TOOLS, *TRUSTED_TOOLS]
            if name in known:
                return f"builtin:{name}"
            raise StepError(
                f"TOOLS: there is no tool {name}{did_you_mean(name, known)}",
                hint="`sdqctl status --adapters` lists the tools; one of a server is SERVER:TOOL",
            )
        found = await self._process.ask(self._sdk.rpc.mcp.list(), "list its MCP servers")
        servers = [one.name for one in found.servers]
        if server not in servers:
            near = did_you_mean(server, servers)
            raise StepError(f"TOOLS: there is no MCP server {server}{near}")
        return "mcp:*" if tool == "*" else f"mcp:{server_prefix(server)}{tool}"

    async def _take(self, call: Awaitable[_Answer], what: str, hint: str | None) -> _Answer:
        try:
            return await self._process.call(call)
        except RuntimeDiedError:
            raise
        except Exception as error:
            raise StepError(f"{what}: the runtime does not take it: {error}", hint=hint) from error


def _is_among(source: str, base: Sequence[str]) -> bool:
    return source in base or f"{source.partition(':')[0]}:*" in base

"""The policy's two seats in the runtime: before each tool, and at its permission requests.

Before a tool its raw arguments are judged, in the session and in its sub-agents: what the policy
refuses is refused there, also where the runtime would ask nobody, or names something else than it
touches. What only a human can allow is left to the permission request, which shows the most; where
the runtime would make none, or a vague one, it is told to ask.
(docs/copilot-findings.md, Permission requests.)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sdqctl.adapters.copilot.calls import UnclearCallError, is_own_workspace, read_call
from sdqctl.adapters.copilot.toolbox import KNOWN_TOOLS, TRUSTED_TOOLS
from sdqctl.errors import SdqctlError
from sdqctl.model.tools import (
    AsksHumans,
    ToolDecision,
    ToolKind,
    ToolPolicy,
    ToolRequest,
    evaluate,
    on_record,
)

if TYPE_CHECKING:
    from copilot.generated.rpc import (
        PermissionDecisionApproveOnce,
        PermissionDecisionReject,
    )
    from copilot.generated.session_events import PermissionRequest, PermissionRequestHook
    from copilot.session import PermissionNoResult, PreToolUseHookInput, PreToolUseHookOutput

_LOG = logging.getLogger(__name__)
_LONGEST_DETAIL = 20_000
_OWN = ToolDecision(True, "it is the session's own workspace", by="sdqctl")
_HOOK = "hook"
"""The kind of a permission request that was made because we told the runtime to ask."""


@dataclass(frozen=True, kw_only=True)
class SessionSide:
    """What the judge needs of its session, which is opened after the judge is made."""

    told: Callable[[ToolRequest, ToolDecision], None]
    """Takes each decision, once."""
    flush: Callable[[], Awaitable[None]]
    """Has the journal written. Raises SdqctlError."""
    caught_up: Callable[[], Awaitable[None]]
    """Waits until what the runtime said before is told."""
    servers: Callable[[], Awaitable[Sequence[str]]]
    """The names of the session's MCP servers. Raises SdqctlError."""
    folder: Path
    """The runtime's folder of the session."""
    working_directory: Path
    trusted: bool
    """Whether the repository is."""


@dataclass
class ToolJudge:
    """Answers the SDK's `on_pre_tool_use` and `on_permission_request` of one session."""

    policy: ToolPolicy
    session: SessionSide
    _answers: dict[tuple[str, ToolKind, str], bool] = field(default_factory=dict)
    """What was answered since the last tool began: some questions are put twice for one call."""

    async def before_tool(
        self, call: PreToolUseHookInput, _: object
    ) -> PreToolUseHookOutput | None:
        """The hook: a refusal, an order to ask, or None. The SDK takes an exception for a yes."""
        tool = str(call.get("toolName"))
        self._answers.clear()
        try:
            return await self._before(tool, call)
        except UnclearCallError as error:
            reason = f"The tool {tool} is not allowed: {error}. Go on without it."
        except Exception:  # noqa: BLE001 - a bug of ours must end in a denial
            _LOG.exception("a tool call could not be judged; it is denied")
            reason = f"The tool {tool} is not allowed: it cannot be judged. Go on without it."
        refused = ToolDecision(False, reason, final=True, by="sdqctl", why="it is not understood")
        request = ToolRequest(kind=ToolKind.OTHER, target=tool, tool=tool, source=_HOOK)
        return self._refuse(request, on_record(self.policy, request, refused))

    async def _before(self, tool: str, call: PreToolUseHookInput) -> PreToolUseHookOutput | None:
        folder = call.get("workingDirectory") or self.session.working_directory
        request = await self._read(tool, call.get("toolArgs"), str(folder))
        if request is None:
            return None
        request = replace(request, tool=tool, source=_HOOK)
        if is_own_workspace(request, self.session.folder):
            decision = on_record(self.policy, request, _OWN)
        else:
            decision = self.policy.decide(request)
        if decision.allowed:
            if request.kind is ToolKind.MCP:  # one that says it only reads is asked no further
                decision = await self._noted(decision)
            return None if decision.allowed else self._refuse(request, decision)
        if isinstance(self.policy, AsksHumans) and not decision.final:
            known = KNOWN_TOOLS.get(tool)
            exact = known.asks if known else request.kind is ToolKind.CUSTOM
            if exact and not self.session.trusted:  # a trusted repository's hook may say yes for us
                return None
            return {"permissionDecision": "ask"}
        return self._refuse(request, decision)

    async def on_permission_request(
        self, request: PermissionRequest, _: object
    ) -> PermissionDecisionApproveOnce | PermissionDecisionReject | PermissionNoResult:
        """The handler: asks the policy, and a human if it does. Never rejects without a reason.

        A bare reject would abort the turn; a failing policy is a denial; where the turn is aborted
        nothing is answered, which the runtime's abort frees. Before a tool may have an
        effect the journal is flushed, so that it is known after a kill that the tool was begun.
        """
        from copilot.generated import rpc
        from copilot.session import PermissionNoResult

        question, decision = await self._answer(request)
        key = (question.tool_call_id or "", question.kind, question.target)
        if not (key[0] and self._answers.get(key) is decision.allowed):
            self.session.told(question, decision)
        self._answers[key] = decision.allowed
        if decision.allowed:
            return rpc.PermissionDecisionApproveOnce()
        if decision.ends_turn:
            return PermissionNoResult()
        return rpc.PermissionDecisionReject(feedback=decision.reason)

    async def _answer(self, request: PermissionRequest) -> tuple[ToolRequest, ToolDecision]:
        from copilot.generated.session_events import PermissionRequestHook

        question = tool_request(request)
        try:
            if isinstance(request, PermissionRequestHook):
                question = await self._asked(request)
            if question.tool_call_id and self._answers.get(
                (question.tool_call_id, question.kind, question.target)
            ):
                return question, ToolDecision(True, "allowed already")
            if is_own_workspace(question, self.session.folder):
                return question, on_record(self.policy, question, _OWN)
            if isinstance(self.policy, AsksHumans):
                await self.session.caught_up()
            decision = await evaluate(self.policy, question)
        except Exception:  # noqa: BLE001 - a policy's bug must end in a denial
            _LOG.exception("the tool policy failed; the request is denied")
            return question, ToolDecision(False, "the policy failed")
        if decision.allowed and question.kind is not ToolKind.READ:
            decision = await self._noted(decision)
        return question, decision

    async def _asked(self, request: PermissionRequestHook) -> ToolRequest:
        """The question of a permission request that the hook ordered."""
        folder = str(self.session.working_directory)
        found = await self._read(request.tool_name, request.tool_args, folder)
        if found is None:
            raise UnclearCallError("nobody ordered to ask for it")
        return replace(found, tool=request.tool_name, tool_call_id=request.tool_call_id)

    async def _read(self, tool: str, arguments: object, folder: str) -> ToolRequest | None:
        own = tool in KNOWN_TOOLS or tool in TRUSTED_TOOLS
        servers = () if own else await self.session.servers()
        return read_call(tool, arguments, folder, servers, trusted=self.session.trusted)

    async def _noted(self, decision: ToolDecision) -> ToolDecision:
        try:
            await self.session.flush()
        except SdqctlError as error:
            return ToolDecision(False, f"that it is begun cannot be noted: {error.message}")
        return decision

    def _refuse(self, request: ToolRequest, decision: ToolDecision) -> PreToolUseHookOutput:
        self.session.told(request, decision)
        return {"permissionDecision": "deny", "permissionDecisionReason": decision.reason}


def tool_request(request: PermissionRequest) -> ToolRequest:
    """The policy's view of a permission request."""
    kind, target = _asked_for(request)
    return ToolRequest(
        kind=kind,
        target=target,
        intention=str(getattr(request, "intention", "") or ""),
        detail=str(getattr(request, "diff", "") or "")[:_LONGEST_DETAIL],
        tool_call_id=getattr(request, "tool_call_id", None),
    )


def _asked_for(request: PermissionRequest) -> tuple[ToolKind, str]:
    """What a request is for. One of a kind that is not known here is for its tool, or its kind."""
    from copilot.generated import session_events as sdk

    match request:
        case sdk.PermissionRequestShell():
            return ToolKind.SHELL, request.full_command_text
        case sdk.PermissionRequestRead():
            return ToolKind.READ, request.path
        case sdk.PermissionRequestWrite():
            return ToolKind.WRITE, request.file_name
        case sdk.PermissionRequestUrl():
            return ToolKind.URL, request.url
        case sdk.PermissionRequestMcp():
            return ToolKind.MCP, f"{request.server_name}:{request.tool_name}"
        case sdk.PermissionRequestCustomTool():
            return ToolKind.CUSTOM, request.tool_name or request.kind
    return ToolKind.OTHER, str(getattr(request, "tool_name", "") or request.kind)

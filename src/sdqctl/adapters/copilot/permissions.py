"""From the runtime's permission requests to the policy's questions, and back (notes, item 3)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sdqctl.errors import SdqctlError
from sdqctl.model.tools import ToolDecision, ToolKind, ToolPolicy, ToolRequest, judge

_LOG = logging.getLogger(__name__)
_LONGEST_DETAIL = 20_000
_KINDS = {kind.value: kind for kind in ToolKind}


def tool_request(request: Any) -> ToolRequest:
    """The policy's view of a permission request."""
    kind = _KINDS.get(request.kind, ToolKind.OTHER)
    return ToolRequest(
        kind=kind,
        target=_target(kind, request),
        intention=str(getattr(request, "intention", "") or ""),
        detail=str(getattr(request, "diff", "") or "")[:_LONGEST_DETAIL],
        tool_call_id=getattr(request, "tool_call_id", None),
    )


def permission_handler(
    policy: ToolPolicy,
    told: Callable[[ToolRequest, ToolDecision], None],
    flush: Callable[[], Awaitable[None]],
) -> Callable[[Any, Any], Any]:
    """The SDK's handler: asks the policy, tells the decision, and never rejects without a reason.

    A bare reject would abort the turn; a failing policy is a denial. Before a tool may have an
    effect the journal is flushed, so that it is known after a kill that the tool was begun.
    """
    from copilot.generated import rpc

    async def handle(request: Any, invocation: Any) -> Any:
        question = tool_request(request)
        try:
            decision = await judge(policy, question)
        except Exception:  # noqa: BLE001 - a policy's bug must end in a denial
            _LOG.exception("the tool policy failed; the request is denied")
            decision = ToolDecision(False, "the policy failed")
        if decision.allowed and question.kind is not ToolKind.READ:
            try:
                await flush()
            except SdqctlError as error:
                decision = ToolDecision(False, f"that it is begun cannot be noted: {error.message}")
        told(question, decision)
        if decision.allowed:
            return rpc.PermissionDecisionApproveOnce()
        return rpc.PermissionDecisionReject(feedback=decision.reason)

    return handle


def _target(kind: ToolKind, request: Any) -> str:
    match kind:
        case ToolKind.SHELL:
            return str(request.full_command_text)
        case ToolKind.READ:
            return str(request.path)
        case ToolKind.WRITE:
            return str(request.file_name)
        case ToolKind.URL:
            return str(getattr(request, "url", ""))
        case ToolKind.MCP:
            return f"{request.server_name}:{request.tool_name}"
    return str(getattr(request, "tool_name", "") or request.kind)

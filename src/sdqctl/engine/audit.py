"""A policy whose decisions are on record before the tool can act on them."""

from __future__ import annotations

import logging

from sdqctl.errors import StoreError
from sdqctl.model.tools import AsksHumans, ToolDecision, ToolPolicy, ToolRequest
from sdqctl.store.audit import record_request
from sdqctl.store.ledger import Ledger

_LOG = logging.getLogger(__name__)


def recorded(policy: ToolPolicy, ledger: Ledger, run_id: str) -> ToolPolicy:
    """The policy with each of its decisions recorded in a run; it asks humans if that one does."""
    if isinstance(policy, AsksHumans):
        return _RecordedAsking(policy, policy, ledger, run_id)
    return _Recorded(policy, ledger, run_id)


class _Recorded:
    """ToolPolicy. What cannot be recorded is not allowed."""

    def __init__(self, policy: ToolPolicy, ledger: Ledger, run_id: str) -> None:
        self._policy = policy
        self._ledger = ledger
        self._run_id = run_id
        self._last: tuple[ToolRequest, ToolDecision] | None = None

    def decide(self, request: ToolRequest) -> ToolDecision:
        """What the policy says."""
        return self._on_record(request, self._policy.decide(request))

    def _on_record(self, request: ToolRequest, decision: ToolDecision) -> ToolDecision:
        if self._last == (request, decision):
            return decision  # the runtime asks twice about some calls
        try:
            record_request(self._ledger, self._run_id, request, decision)
        except StoreError as error:
            _LOG.warning("a tool request cannot be recorded: %s", error.message)
            if decision.allowed:
                reason = f"it cannot be recorded: {error.message}"
                return ToolDecision(False, reason, final=True, by="sdqctl", why=reason)
        else:
            self._last = (request, decision) if request.tool_call_id is not None else None
        return decision


class _RecordedAsking(_Recorded):
    """The same for a policy that AsksHumans."""

    def __init__(self, policy: ToolPolicy, asking: AsksHumans, ledger: Ledger, run_id: str) -> None:
        super().__init__(policy, ledger, run_id)
        self._asking = asking

    async def ask(self, request: ToolRequest) -> ToolDecision:
        """What the policy or a human says."""
        return self._on_record(request, await self._asking.ask(request))
